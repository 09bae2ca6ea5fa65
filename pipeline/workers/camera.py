"""The camera worker: opens one source, decodes it, and hands its frames to the vision worker. For ever, if it is live.

A file ends, or fails for good. A camera that fails is closed, left alone for a while, and opened again in a new epoch.
This process loads no network.
"""

from __future__ import annotations

import gc
import os
import select
import time

import zmq

from pipeline.address import is_recording
from pipeline.board import Phase, changing
from pipeline.clock import Pacer
from pipeline.errors import SourceError, SourceUnreachable, SourceUnsupported, UsageError
from pipeline.links.shared_memory import Slot
from pipeline.links.zeromq import SendingEnd
from pipeline.messages import Frame, GapReason
from pipeline.rate import Rate
from pipeline.retry import Backoff, opening_seconds
from pipeline.stage import Access, Metered, PacketReader, Reader, Taken
from pipeline.states import SourceState
from pipeline.status import STATES
from pipeline.workers.bench import Bench
from pipeline.workers.builder import load_builder
from pipeline.workers.decoding import LINK_PACKETS
from pipeline.workers.forwarding import CLOSE_SECONDS, Forwarder, Refused
from pipeline.workers.labels import Labels
from pipeline.workers.messages import Complaint, Hold, Renew, SegmentTaken, SourceNews, Stop
from pipeline.workers.outbound import Outbound

WAIT_SECONDS = 1.0  # how often a wait is stamped on the board
WAIT_DEADLINE_SECONDS = 5.0
LINK_SPARE = 64  # messages beyond one a slot: ends of epochs, mostly
FLUSH_SECONDS = 3600.0  # the vision worker may still be compiling; the supervisor ends us sooner if need be


def run(bench: Bench) -> None:
    """Be the camera worker of the one source that was given."""
    # Nothing here makes cycles; what was imported need not be looked at again.
    gc.freeze()
    CameraWorker(bench).run()


class CameraWorker:
    """One source from its address to the link."""

    def __init__(self, bench: Bench) -> None:
        spec = bench.spec
        (occupant,) = bench.occupants.values()
        self._number, self._source = occupant.number, occupant.source
        self._builder = load_builder(spec.builder)
        taken = Taken(passed=occupant.passed, last=occupant.passed)
        self._access = Access(
            spec.config.files_root, self._idle, taken, self._took, self._complain, occupant.standard_input
        )
        self._control, self._liveness = bench.control, bench.liveness
        self._cells, self._ring = occupant.cells, occupant.ring
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        capacity = spec.slots + LINK_SPARE
        self._out = Outbound(
            spec.outlet,
            link_to=lambda address: SendingEnd(self._context, address, capacity=capacity),
            source=self._number,
            source_id=self._source.source_id,
            cells=self._cells,
            own=self._cells.camera,
            ring=self._ring,
        )
        # What earlier workers of this source have failed at counts on.
        self._backoff = Backoff.of(spec.config.supervisor, failures=self._cells.camera.failures)
        self._labels = Labels(self._control.epoch)
        self._pacer = Pacer() if self._source.realtime else None
        self._ends = is_recording(self._source.url)
        self._rate = Rate()
        self._stop: Stop | None = None
        self._held = False
        self._metered: Metered | None = None  # the reader, if it is one
        self._remember_counts()
        self._forwarder: Forwarder | None = None
        if spec.config.sends_packets_of(self._source) and not occupant.on_cpu:
            self._forwarder = Forwarder(
                self._source,
                self._number,
                outlet=spec.outlet,
                cells=self._cells,
                link_to=lambda address: SendingEnd(self._context, address, capacity=LINK_PACKETS),
            )

    def run(self) -> None:
        """Read until the end or until told to stop."""
        if self._forwarder is None:
            self._take_the_ring()
        self._wait_until(self._cells.camera.retry_at_ns)
        while not self._stopping():
            error = self._session()
            if self._stopping():
                break
            if self._ends or isinstance(error, UsageError):
                self._finish(error)
                return
            self._rest(error or SourceUnreachable(f"{self._source.source_id}: the camera ended the stream"))
        final = self._stop is None or self._stop.final
        self._end("shutdown", final=final)
        self._tell(SourceState.ENDED if final else SourceState.PAUSED, final=final)
        self._leave()

    def _take_the_ring(self) -> None:
        """Be the one who writes pictures: an earlier worker may have been ended with slots in its hands."""
        self._ring.reclaim()
        with changing(self._cells.camera):
            self._cells.camera.sends_packets = 0

    def _session(self) -> SourceError | UsageError | None:
        """Open, read to the end, close; what went wrong, if anything did."""
        self._tell(SourceState.CONNECTING)
        self._liveness.stamp(Phase.OPENING, opening_seconds(self._source.open_timeout_seconds))
        try:
            if self._forwarder is None:
                reader = self._builder.open_source(self._source, next_epoch=self._control.epoch, access=self._access)
            else:
                packets = self._builder.open_packets(self._source, access=self._access)
                if packets.refusal is None:
                    return self._forward(self._forwarder, packets)
                self._decode_here(packets.refusal)
                reader = packets.decoded_here(next_epoch=self._control.epoch)
        except (SourceError, UsageError) as exc:
            return exc
        self._metered = reader if isinstance(reader, Metered) else None  # a dear question, asked once
        try:
            self._read(reader)
        except (SourceError, UsageError) as exc:
            return exc
        finally:
            self._liveness.stamp(Phase.CLOSING, WAIT_DEADLINE_SECONDS)
            self._count(reader)
            self._remember_counts()
            reader.close()
        return None

    def _forward(self, forwarder: Forwarder, packets: PacketReader) -> SourceError | UsageError | None:
        """Have the vision worker decode what is read; where it cannot, it is decoded here the next time."""
        self._liveness.stamp(Phase.READING, 1.5 * self._source.read_timeout_seconds + 3)
        error: SourceError | None = None
        try:
            error = forwarder.forward(packets, self)
            if error is None and self._ends and not self._stopping():
                return None
            reason: GapReason = "shutdown" if self._stopping() else "decode_error"
            final = self._stop.final if self._stop is not None else self._ends
            forwarder.close(reason, final=final, hands=self)
        except Refused:
            has_begun = self._ends and self._cells.decode.frames > 0
            forwarder.close("decode_error", final=has_begun, hands=self)
            if has_begun:  # from its start it would give every frame twice
                return SourceUnsupported(f"{self._source.source_id}: the rest of it cannot be decoded on the device")
            self._decode_here("the device cannot decode it")
            return self._session()
        finally:
            self._liveness.stamp(Phase.CLOSING, WAIT_DEADLINE_SECONDS)
            packets.close()
        return error

    def _decode_here(self, why: str) -> None:
        """From here on this process decodes."""
        self._forwarder = None
        self._remember_counts()
        self._take_the_ring()
        self._tell(SourceState.CONNECTING, message=f"decoded on the CPU: {why}")

    def tend(self) -> bool:
        """Obey orders, and wait while held; False: the source is to end."""
        self._obey()
        self._wait_while_held()
        return not self._stopping()

    def reading(self) -> None:
        """Stamp that the next packet may take its time."""
        self._stamp_reading()

    def waiting(self) -> None:
        """Stamp that somebody else is waited for."""
        self._liveness.stamp(Phase.WAITING, WAIT_DEADLINE_SECONDS)

    def streams(self, codec: str, *, expected_frames: int) -> None:
        """The first frame was decoded."""
        self._started_ns = time.monotonic_ns()
        self._cells.camera.expected_frames = expected_frames
        self._tell(SourceState.STREAMING, codec=codec)

    def _read(self, reader: Reader) -> None:
        streaming = False
        self._rate = Rate()  # the time without a connection is no frame's interval
        self._stamp_reading()
        for frame in reader:
            self._obey()
            self._wait_while_held()
            if self._pacer is not None:
                self._pause(self._pacer.delay_seconds(frame))
            if self._stopping():
                return
            self._handle(frame)
            self._count(reader)
            if not streaming:
                streaming = True
                self._started_ns = time.monotonic_ns()
                self._cells.camera.expected_frames = reader.info.frame_count or 0
                self._tell(SourceState.STREAMING, codec=reader.info.codec)
            self._stamp_reading()

    def _stamp_reading(self) -> None:
        self._liveness.stamp(Phase.READING, 1.5 * self._source.read_timeout_seconds + 3)

    def _idle(self, seconds: float) -> bool:
        """Let up to so many seconds pass in the middle of reading; False once the reader is to end."""
        until = time.monotonic() + seconds
        self._obey()
        self._wait_while_held()
        while not self._stopping() and (left := until - time.monotonic()) > 0:
            self._pause(min(left, WAIT_SECONDS))
            self._wait_while_held()
        self._stamp_reading()
        return not self._stopping()

    def _took(self, segment: str) -> None:
        """A segment of a folder is about to be read, which no worker after this one may do again."""
        self._control.report(SegmentTaken(os.fsencode(segment)))

    def _complain(self, text: str) -> None:
        """Something of the source was lost, and it goes on."""
        about = self._source.source_id
        self._control.report(Complaint(about=about, error="SourceError", message=text.removeprefix(f"{about}: ")))
        self._tell(STATES[self._cells.camera.state], message=text)

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
        """A slot, once half of them are free; None if the frame's epoch ends first, or everything does.

        Waking for each would decode one frame at a time, in a cold cache; half of them keeps the vision worker busy.
        """
        waker = select.poll()
        waker.register(self._ring.freed, select.POLLIN)
        waker.register(self._control, select.POLLIN)
        patient = True
        try:
            while not self._stopping() and not self._labels.renewed:
                if self._ring.want(max(1, self._ring.geometry.slots // 2)) or not patient:
                    slot = self._ring.take()
                    if slot is not None:
                        return slot
                self._liveness.stamp(Phase.WAITING, WAIT_DEADLINE_SECONDS)
                patient = bool(waker.poll(WAIT_SECONDS * 1000))
                self._obey()
            return None
        finally:
            self._ring.want(0)

    def _note(self, frame: Frame, arrival_ns: int) -> None:
        cells = self._cells.camera
        cells.width, cells.height = frame.width, frame.height
        cells.milli_fps = round(self._rate.seen(arrival_ns) * 1000)
        cells.last_frame_time_ns, cells.last_arrival_ns = time.time_ns(), arrival_ns

    def _count(self, reader: Reader) -> None:
        cells = self._cells.camera
        cells.undecoded = self._undecoded_before + reader.undecoded
        if self._metered is not None:
            cells.damaged = self._damaged_before + self._metered.damaged
            cells.received_bytes = self._received_before + self._metered.received_bytes

    def _remember_counts(self) -> None:
        """Those of the readers so far; the next one's start from zero."""
        cells = self._cells.camera
        self._undecoded_before, self._damaged_before = cells.undecoded, cells.damaged
        self._received_before = cells.received_bytes

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
            cells.failures = self._backoff.failures
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
        if self._forwarder is not None:
            self._forwarder.end(CLOSE_SECONDS)
        self._out.close(FLUSH_SECONDS)
        self._context.term()

    def _tell(
        self,
        state: SourceState,
        *,
        codec: str = "",
        message: str = "",
        error: SourceError | UsageError | None = None,
        final: bool = False,
    ) -> None:
        self._cells.camera.state = STATES.index(state)
        self._control.report(
            SourceNews(
                source=self._number,
                state=state.value,
                message=message if error is None else str(error),
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
        return self._stop is not None

    def _wait_while_held(self) -> None:
        """Read no further as long as the source is paused. A camera's worker ends instead: nothing waits for it."""
        if not self._held:
            return
        before = STATES[self._cells.camera.state]
        self._tell(SourceState.PAUSED)
        while self._held and not self._stopping():
            self._pause(WAIT_SECONDS)
        if not self._stopping():
            self._tell(before)

    def _obey(self, *, timeout_seconds: float = 0.0) -> None:
        for order in self._control.orders(timeout_seconds=timeout_seconds):
            if isinstance(order, Stop):
                self._stop = order
            elif isinstance(order, Hold):
                self._held = order.on
            elif isinstance(order, Renew) and self._forwarder is not None:
                self._forwarder.renew(order.outlet)
            elif isinstance(order, Renew):
                self._out.reconnect(order.outlet)
                self._labels.renew()


def _state_of(error: SourceError | UsageError) -> SourceState:
    return error.state if isinstance(error, SourceError) else SourceState.FAULTED
