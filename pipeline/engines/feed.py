"""Reading threads of the inline engine: one a source, each with a short queue, all waking one taker.

A lossless source waits for room. A live one never does: its newest frame takes the place of its oldest.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from pipeline.clock import Pacer
from pipeline.config import SourceConfig
from pipeline.errors import EveryframeError, SourceError
from pipeline.messages import Frame
from pipeline.stage import Reader, StreamInfo
from pipeline.states import SourceState


class OpenSource(Protocol):
    """How a source is opened; `pipeline.build.open_source` is one."""

    def __call__(self, source: SourceConfig, *, next_epoch: Callable[[], int]) -> Reader:
        """The opened source. Raises `SourceError`."""


class Feed:
    """One source: its reading thread, what waits to be taken, and what it has counted."""

    def __init__(self, source: SourceConfig, *, open_source: OpenSource, changed: threading.Condition, capacity: int):
        self.source = source
        self.waiting: deque[Frame] = deque()
        self.captured = 0
        self.overtaken = 0  # frames that a newer one took the place of
        self.undecoded = 0
        self.epoch = 0
        self.state = SourceState.CONNECTING
        self.error: EveryframeError | None = None
        self.info: StreamInfo | None = None
        self._open_source = open_source
        self._changed = changed
        self._capacity = capacity
        self._stopping = False
        self._thread = threading.Thread(target=self._read, name=f"feed-{source.source_id}", daemon=True)

    @property
    def finished(self) -> bool:
        """Whether no frame will come any more; those waiting can still be taken."""
        return not self._thread.is_alive() and self.state is not SourceState.CONNECTING

    def start(self) -> None:
        """Begin reading."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it does after the frame it is reading."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the thread; whether it has ended."""
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _read(self) -> None:
        state: SourceState = SourceState.ENDED
        error: EveryframeError | None = None
        try:
            self._read_all()
        except SourceError as exc:
            state, error = exc.state, exc
        except EveryframeError as exc:
            state, error = SourceState.FAULTED, exc
        with self._changed:
            self.state, self.error = state, error
            self._changed.notify_all()

    def _read_all(self) -> None:
        reader = self._open_source(self.source, next_epoch=itertools.count(1).__next__)
        pacer = Pacer() if self.source.realtime else None
        try:
            for frame in reader:
                if pacer is not None:
                    pacer.wait(frame)
                if not self._offer(frame, reader):
                    return
        finally:
            self.undecoded = reader.undecoded
            reader.close()

    def _offer(self, frame: Frame, reader: Reader) -> bool:
        """Queue a frame; False once the feed is to stop."""
        with self._changed:
            self.state, self.info, self.undecoded = SourceState.STREAMING, reader.info, reader.undecoded
            if self.source.lossless:
                self._changed.wait_for(lambda: self._stopping or len(self.waiting) < self._capacity)
            if self._stopping:
                return False
            if len(self.waiting) >= self._capacity:
                self.waiting.popleft()
                self.overtaken += 1
            self.waiting.append(frame)
            self.captured, self.epoch = self.captured + 1, frame.epoch
            self._changed.notify_all()
            return True


def take_fairly(feeds: Sequence[Feed], count: int, *, start: int) -> list[Frame]:
    """Up to `count` waiting frames, one a source in turn from `start`; the caller holds the condition."""
    taken: list[Frame] = []
    while len(taken) < count:
        before = len(taken)
        for i in range(len(feeds)):
            feed = feeds[(start + i) % len(feeds)]
            if feed.waiting and len(taken) < count:
                taken.append(feed.waiting.popleft())
        if len(taken) == before:
            break
    return taken
