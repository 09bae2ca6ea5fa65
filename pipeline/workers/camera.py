"""The camera worker: opens one source, decodes it, and hands its frames to the vision worker. For ever, if it is live.

A file ends, or fails for good. A camera that fails is closed, left alone for a while, and opened again in a new epoch.
This process loads no network.
"""

from __future__ import annotations

import gc
import random
import select
import time
from dataclasses import dataclass

import zmq

from pipeline.address import is_live
from pipeline.board import Phase, SourceCells, changing
from pipeline.clock import Pacer
from pipeline.config import SourceConfig
from pipeline.errors import SourceError, SourceUnreachable, UsageError
from pipeline.links.shared_memory import Ring, Slot
from pipeline.links.zeromq import SendingEnd
from pipeline.messages import Frame, GapReason
from pipeline.retry import Backoff
from pipeline.stage import Reader
from pipeline.states import SourceState
from pipeline.status import STATES
from pipeline.workers.bench import Bench
from pipeline.workers.builder import load_builder
from pipeline.workers.labels import Labels
from pipeline.workers.messages import Renew, SourceNews, Stop
from pipeline.workers.outbound import Outbound

WAIT_SECONDS = 1.0  # how often a wait is stamped on the board
WAIT_DEADLINE_SECONDS = 5.0
LINK_SPARE = 64  # messages beyond one a slot: ends of epochs, mostly
FLUSH_SECONDS = 3600.0  # the vision worker may still be compiling; the supervisor ends us sooner if need be


def run(bench: Bench) -> None:
    """Be the camera worker of source `bench.spec.source`."""
    # Nothing here makes cycles; what was imported need not be looked at again.
    gc.freeze()
    CameraWorker(bench).run()


@dataclass(slots=True)
class Rate:
    """Frames a second, smoothed over the last second or so."""

    interval_ns: float = 0.0
    last_ns: int = 0

    def seen(self, now_ns: int) -> float:
        """Count a frame; the rate."""
        if self.last_ns:
            interval = now_ns - self.last_ns
            share = min(1.0, max(0.02, interval / 1e9))
            self.interval_ns += (interval - self.interval_ns) * (share if self.interval_ns else 1.0)
        self.last_ns = now_ns
        return 1e9 / self.interval_ns if self.interval_ns else 0.0


class CameraWorker:
    """One source from its address to the link."""

    def __init__(self, bench: Bench) -> None:
        spec = bench.spec
        self._index = spec.source
        self._source: SourceConfig = bench.sources[spec.source]
        self._builder = load_builder(spec.builder)
        self._control, self._liveness = bench.control, bench.liveness
        self._cells: SourceCells = bench.board.sources[spec.source]
        self._ring: Ring = bench.rings[spec.source]
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        capacity = spec.slots + LINK_SPARE
        self._out = Outbound(
            spec.outlet,
            link_to=lambda address: SendingEnd(self._context, address, capacity=capacity),
            source=spec.source,
            source_id=self._source.source_id,
            cells=self._cells,
            ring=self._ring,
        )
        settings = spec.config.supervisor
        self._backoff = Backoff(
            first_seconds=settings.retry_first_seconds,
            most_seconds=settings.retry_max_seconds,
            refused_seconds=settings.auth_retry_seconds,
            chance=random.random,
        )
        self._labels = Labels(self._control.epoch)
        self._pacer = Pacer() if self._source.realtime else None
        self._live = is_live(self._source.url)
        self._rate = Rate()
        self._stop_asked = False
        self._undecoded_before = self._cells.camera.undecoded

    def run(self) -> None:
        """Read until the end or until told to stop."""
        self._ring.reclaim()  # an earlier worker of this source may have been ended with slots in its hands
        self._wait_until(self._cells.camera.retry_at_ns)
        while not self._stopping():
            error = self._session()
            if self._stopping():
                break
            if not self._live or isinstance(error, UsageError):
                self._finish(error)
                return
            self._rest(error or SourceUnreachable(f"{self._source.source_id}: the camera ended the stream"))
        self._end("shutdown", final=True)
        self._tell(SourceState.ENDED, final=True)
        self._leave()

    def _session(self) -> SourceError | UsageError | None:
        """Open, read to the end, close; what went wrong, if anything did."""
        self._tell(SourceState.CONNECTING)
        self._liveness.stamp(Phase.OPENING, 2 * self._source.open_timeout_seconds + 2)
        try:
            reader = self._builder.open_source(self._source, next_epoch=self._control.epoch)
        except (SourceError, UsageError) as exc:
            return exc
        try:
            self._read(reader)
        except (SourceError, UsageError) as exc:
            return exc
        finally:
            self._liveness.stamp(Phase.CLOSING, WAIT_DEADLINE_SECONDS)
            self._count_undecoded(reader)
            self._undecoded_before = self._cells.camera.undecoded
            reader.close()
        return None

    def _read(self, reader: Reader) -> None:
        streaming = False
        deadline = 1.5 * self._source.read_timeout_seconds + 3
        self._liveness.stamp(Phase.READING, deadline)
        for frame in reader:
            self._obey()
            if self._pacer is not None:
                self._pause(self._pacer.delay_seconds(frame))
            if self._stopping():
                return
            self._handle(frame)
            self._count_undecoded(reader)
            if not streaming:
                streaming = True
                self._started_ns = time.monotonic_ns()
                self._cells.camera.expected_frames = reader.info.frame_count or 0
                self._tell(SourceState.STREAMING, codec=reader.info.codec)
            self._liveness.stamp(Phase.READING, deadline)

    def _handle(self, frame: Frame) -> None:
        """Give a frame its number and hand it on; where there is no room, wait (a file) or let it go (a camera)."""
        epoch, seq = self._labels.of(frame)
        while not self._out.begin(epoch):
            self._pause(WAIT_SECONDS)
            if self._stopping():
                return
        arrival_ns = frame.arrival_monotonic_ns if self._pacer is None else time.monotonic_ns()
        self._out.captured()
        self._note(frame, arrival_ns)
        slot = self._ring.take() or (self._wait_for_slot() if self._source.lossless else None)
        if slot is not None:
            self._out.send(frame, seq, slot, arrival_ns=arrival_ns)
        elif not self._labels.renewed and not self._stopping():
            self._out.lose(seq, "backlog")

    def _wait_for_slot(self) -> Slot | None:
        """The next slot that is given back; None if the frame's epoch ends first, or everything does."""
        waker = select.poll()
        waker.register(self._ring.freed, select.POLLIN)
        waker.register(self._control, select.POLLIN)
        while not self._stopping() and not self._labels.renewed:
            self._ring.clear_freed()
            slot = self._ring.take()
            if slot is not None:
                return slot
            self._liveness.stamp(Phase.WAITING, WAIT_DEADLINE_SECONDS)
            waker.poll(WAIT_SECONDS * 1000)
            self._obey()
        return None

    def _note(self, frame: Frame, arrival_ns: int) -> None:
        cells = self._cells.camera
        cells.width, cells.height = frame.width, frame.height
        cells.milli_fps = round(self._rate.seen(arrival_ns) * 1000)
        cells.last_frame_time_ns, cells.last_arrival_ns = frame.capture_time_ns, arrival_ns

    def _count_undecoded(self, reader: Reader) -> None:
        self._cells.camera.undecoded = self._undecoded_before + reader.undecoded

    def _finish(self, error: SourceError | UsageError | None) -> None:
        """A file has ended or failed, or what was asked for cannot be."""
        self._end("decode_error" if error else "shutdown", final=True)
        if error is None:
            self._tell(SourceState.ENDED, final=True)
        else:
            self._tell(_state_of(error), error=error, final=True)
        self._leave()

    def _rest(self, error: SourceError) -> None:
        """Leave a failed camera alone for a while."""
        self._end("decode_error", final=False)
        state = _state_of(error)
        if state is SourceState.FAULTED and self._streamed_seconds > self._source.read_timeout_seconds:
            self._backoff.reset()
        delay = self._backoff.delay_seconds(state)
        cells = self._cells.camera
        with changing(cells):
            cells.reconnects += 1
            cells.retry_at_ns = time.monotonic_ns() + round(delay * 1e9)
        self._started_ns = 0
        self._tell(state, error=error)
        self._wait_until(cells.retry_at_ns)

    _started_ns = 0  # of the session's first frame

    @property
    def _streamed_seconds(self) -> float:
        return (time.monotonic_ns() - self._started_ns) / 1e9 if self._started_ns else 0.0

    def _end(self, reason: GapReason, *, final: bool) -> None:
        self._out.end(reason, final=final)

    def _leave(self) -> None:
        """Wait until the vision worker has all that was sent, then go."""
        self._liveness.stamp(Phase.CLOSING, FLUSH_SECONDS)
        self._out.close(FLUSH_SECONDS)
        self._context.term()

    def _tell(
        self,
        state: SourceState,
        *,
        codec: str = "",
        error: SourceError | UsageError | None = None,
        final: bool = False,
    ) -> None:
        self._cells.camera.state = STATES.index(state)
        self._control.report(
            SourceNews(
                source=self._index,
                state=state.value,
                message="" if error is None else str(error),
                error="" if error is None else type(error).__name__,
                codec=codec,
                final=final,
            )
        )

    def _wait_until(self, at_ns: int) -> None:
        """Wait for a time that the board shows; 0 is now."""
        while not self._stopping() and (left := (at_ns - time.monotonic_ns()) / 1e9) > 0:
            self._pause(min(left, WAIT_SECONDS))
        self._cells.camera.retry_at_ns = 0

    def _pause(self, seconds: float) -> None:
        """Let time pass, obeying orders."""
        until = time.monotonic() + seconds
        while seconds > 0 and not self._stopping():
            self._liveness.stamp(Phase.WAITING, WAIT_DEADLINE_SECONDS)
            self._obey(timeout_seconds=min(seconds, WAIT_SECONDS))
            seconds = until - time.monotonic()

    def _stopping(self) -> bool:
        return self._stop_asked

    def _obey(self, *, timeout_seconds: float = 0.0) -> None:
        for order in self._control.orders(timeout_seconds=timeout_seconds):
            if isinstance(order, Stop):
                self._stop_asked = True
            elif isinstance(order, Renew):
                self._out.reconnect(order.outlet)
                self._labels.renew()


def _state_of(error: SourceError | UsageError) -> SourceState:
    return error.state if isinstance(error, SourceError) else SourceState.FAULTED
