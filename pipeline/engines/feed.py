"""Reading threads of the inline engine: one a source, each with a short queue, all waking one taker.

A lossless source waits for room. A live one never does: its newest frame takes the place of its oldest.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from pipeline.batching import Cadence
from pipeline.clock import Pacer
from pipeline.config import SourceConfig, is_recording
from pipeline.errors import EveryframeError, SourceError, UsageError
from pipeline.messages import Frame
from pipeline.retry import Backoff
from pipeline.stage import Access, Metered, Reader, StreamInfo, Taken
from pipeline.states import SourceState


class OpenSource(Protocol):
    """How a source is opened; `pipeline.build.open_source` is one."""

    def __call__(self, source: SourceConfig, *, next_epoch: Callable[[], int], access: Access) -> Reader:
        """The opened source. Raises `SourceError`, `AddressError`."""


class Feed:
    """One source: its reading thread, what waits to be taken, and what it has counted.

    A file ends, or fails for good. A camera that fails is opened again after a while, in a new epoch, until `stop`.
    """

    def __init__(
        self,
        source: SourceConfig,
        *,
        open_source: OpenSource,
        access: Access,
        changed: threading.Condition,
        capacity: int,
        backoff: Backoff,
    ) -> None:
        self.source = source
        self.waiting: deque[Frame] = deque()
        self.captured = 0
        self.overtaken = 0  # frames that a newer one took the place of
        self._undeclared: list[tuple[int, int]] = []  # epoch and seq of those
        self.undecoded = self.damaged = 0
        self.reconnects = 0
        self.epoch = 0
        self.state = SourceState.CONNECTING
        self.error: EveryframeError | None = None  # what ended the last session
        self.complaint = ""  # what was lost last and did not end it
        self.finished = False  # no frame will come any more; those waiting can still be taken
        self.info: StreamInfo | None = None
        self._cadence = Cadence(source.target_fps) if source.target_fps > 0 else None
        self._open_source = open_source
        self._access = replace(access, wait=self._wait, taken=Taken(), complain=self._complain)
        self._changed = changed
        self._capacity = capacity
        self._backoff = backoff
        self._epochs = itertools.count(1)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"feed-{source.source_id}", daemon=True)

    @property
    def failed(self) -> bool:
        """Whether the source ended for good by an error."""
        return self.finished and self.error is not None

    def wants(self, frame: Frame) -> bool:
        """Whether a frame that was taken is analysed, or skipped as planned; asked once of each, in order."""
        return self._cadence is None or self._cadence.wants(frame.capture_time_ns)

    def take_overtaken(self) -> list[tuple[int, int]]:
        """Epoch and seq of the frames overtaken since the last call, all older than those waiting."""
        taken, self._undeclared = self._undeclared, []
        return taken

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

    def _run(self) -> None:
        while True:
            error = self._session()
            with self._changed:
                retry = not is_recording(self.source.url) and not self._stopping and not isinstance(error, UsageError)
                self.error = error if retry or not self._stopping else None
                self.state = _state_after(error)
                self.finished = not retry
                self._changed.notify_all()
                if not retry:
                    return
                self.reconnects += 1
                self._changed.wait_for(lambda: self._stopping, timeout=self._backoff.delay_seconds(self.state))

    def _session(self) -> EveryframeError | None:
        """Open, read to the end, close; what went wrong, if anything did."""
        try:
            reader = self._open_source(self.source, next_epoch=self._epochs.__next__, access=self._access)
        except EveryframeError as exc:
            return exc
        before = self.undecoded, self.damaged
        metered = reader if isinstance(reader, Metered) else None  # a dear question, asked once
        pacer = Pacer() if self.source.realtime else None
        try:
            for frame in reader:
                self._count(reader, metered, before)
                if pacer is not None:
                    pacer.wait(frame)
                if not self._offer(frame, reader.info):
                    break
        except EveryframeError as exc:
            return exc
        finally:
            self._count(reader, metered, before)
            reader.close()
        return None

    def _wait(self, seconds: float) -> bool:
        with self._changed:
            return not self._changed.wait_for(lambda: self._stopping, timeout=seconds)

    def _complain(self, text: str) -> None:
        self.complaint = text

    def _count(self, reader: Reader, metered: Metered | None, before: tuple[int, int]) -> None:
        """Add what a reader counts to what those before it had counted."""
        self.undecoded = before[0] + reader.undecoded
        self.damaged = before[1] + (metered.damaged if metered is not None else 0)

    def _offer(self, frame: Frame, info: StreamInfo) -> bool:
        """Queue a frame; False once the feed is to stop."""
        with self._changed:
            self.state, self.info = SourceState.STREAMING, info
            if self.source.lossless:
                self._changed.wait_for(lambda: self._stopping or len(self.waiting) < self._capacity)
            if self._stopping:
                return False
            if len(self.waiting) >= self._capacity:
                oldest = self.waiting.popleft()
                self._undeclared.append((oldest.epoch, oldest.seq))
                self.overtaken += 1
            self.waiting.append(frame)
            self.captured, self.epoch = self.captured + 1, frame.epoch
            self._backoff.reset()
            self._changed.notify_all()
            return True


def _state_after(error: EveryframeError | None) -> SourceState:
    if error is None:
        return SourceState.ENDED
    return error.state if isinstance(error, SourceError) else SourceState.FAULTED


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
