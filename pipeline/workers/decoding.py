"""The second half of a camera worker, as a thread of the vision worker: a source's packets to frames, accounted for.

Decoders let go of the interpreter while they work, so that a thread a source costs little. The thread alone writes
`DecodeCells` and the camera's words of a row; frames go to the worker's loop over a link of their own, and from there
on as those of any camera.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import msgspec
import zmq

from pipeline.board import changing
from pipeline.config import SourceConfig
from pipeline.errors import ConfigError, DecodeError, DeviceLost, EveryframeError
from pipeline.links.handover import Handover
from pipeline.links.shared_memory import Slot
from pipeline.links.zeromq import ReceivingEnd
from pipeline.messages import Frame, StreamHeader
from pipeline.rate import Rate
from pipeline.stage import Decoded, Numbering, PacketDecoder, PicturePool
from pipeline.workers.labels import Labels
from pipeline.workers.occupants import Occupant
from pipeline.workers.outbound import Outbound
from pipeline.workers.packets import Closed, Coded, Drain, Opened, ToDecoder, decode_to_decoder

LINK_PACKETS = 16  # on either side of a link before a live camera's are dropped, and a file waits
WAIT_MS = 500
MOST_FAILURES = 100  # packets in a row that give nothing, a key frame among them: this decoder cannot do it


class DeviceParts(Protocol):
    """What the builder makes for a source that is decoded where its pictures are looked at."""

    def decoder(self, header: StreamHeader, source: SourceConfig) -> PacketDecoder:
        """Raises `DecodeError` where the stream cannot be decoded there."""

    def numbering(
        self, header: StreamHeader, source_id: str, *, next_epoch: Callable[[], int], wall_offset_ns: int
    ) -> Numbering:
        """Begins an epoch."""

    def pool(self) -> PicturePool:
        """Room for a source's pictures."""


class Given:
    """Epochs that were asked for by threads, and are asked of the supervisor by the worker's loop."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._changed = threading.Condition()
        self._wanted: list[int] = []
        self._answers: dict[int, tuple[int, str]] = {}

    def ask(self, source: int, *, ending: Callable[[], bool]) -> int:
        """A new epoch of a source, waited for. Raises `ConfigError` where none can be kept, or the asker is to end."""
        with self._changed:
            self._wanted.append(source)
            self._wake()
            self._changed.wait_for(lambda: ending() or source in self._answers)
            if source not in self._answers:
                raise ConfigError("the source is ending")
            epoch, error = self._answers.pop(source)
        if error:
            raise ConfigError(error)
        return epoch

    def wanted(self) -> list[int]:
        """Sources that ask, since the last call."""
        with self._changed:
            wanted, self._wanted = self._wanted, []
        return wanted

    def answer(self, source: int, epoch: int, error: str) -> None:
        """What the supervisor said."""
        with self._changed:
            self._answers[source] = (epoch, error)
            self._changed.notify_all()

    def look_again(self) -> None:
        """Somebody is to end."""
        with self._changed:
            self._changed.notify_all()


class DecodingCamera(threading.Thread):
    """Decodes the packets of one source until told to stop."""

    def __init__(
        self,
        occupant: Occupant,
        *,
        address: str,
        parts: DeviceParts | None,
        epochs: Given,
        feed: Handover,
        complain: Callable[[Exception], None],
        context: zmq.Context[zmq.Socket[bytes]],
        and_here: bool,
        hang_seconds: float,
        load_seconds: float,
    ) -> None:
        """`parts`: None where there is no device, so that all is refused; `and_here`: pictures are wanted in shared
        memory as well; a decoder may have a packet for `hang_seconds`, the first of a connection for `load_seconds`.
        """
        super().__init__(name=f"decoding-{occupant.source.source_id}", daemon=True)
        self._occupant, self._parts, self._epochs = occupant, parts, epochs
        self._source, self._ring, self._cells = occupant.source, occupant.ring, occupant.cells
        self._own = occupant.cells.decode
        self._address, self._complain, self._and_here = address, complain, and_here
        self._context, self._hang_seconds, self._load_seconds = context, hang_seconds, load_seconds
        self._labels = Labels(self._next_epoch)
        self._out = Outbound(
            "",
            link_to=lambda _: feed,
            source=occupant.number,
            source_id=self._source.source_id,
            cells=self._cells,
            own=self._own,
            ring=self._ring,
        )
        self._woken = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stopping = self._renewing = False
        self._decoder: PacketDecoder | None = None
        self._numbering: Numbering | None = None
        self._session = 0
        self._is_first = True  # nothing of this process lies in a slot yet
        self._rate = Rate()
        self._failures = 0
        self._since = 0.0  # monotonic seconds at which the decoder was given what it has
        self._allowed = 0.0  # seconds that it may take for that
        self.failure: EveryframeError | None = None  # the worker must end

    def ask_to_end(self) -> None:
        """Have it end soon; from another thread."""
        self._stopping = True
        os.eventfd_write(self._woken, 1)
        self._epochs.look_again()

    def renew(self) -> None:
        """The publisher was replaced: take all slots back, and begin a new epoch. From another thread."""
        self._renewing = True
        os.eventfd_write(self._woken, 1)

    @property
    def hangs(self) -> bool:
        """Whether the decoder has had a packet for longer than it may."""
        since = self._since
        return since > 0 and time.monotonic() - since > self._allowed

    def run(self) -> None:
        """Decode what comes."""
        inlet: ReceivingEnd | None = None
        try:
            inlet = ReceivingEnd(self._context, self._address, capacity=LINK_PACKETS)
            poller = zmq.Poller()
            poller.register(inlet.waitable, zmq.POLLIN)
            poller.register(self._woken, zmq.POLLIN)
            while not self._stopping:
                poller.poll(WAIT_MS)
                with suppress(BlockingIOError):
                    os.eventfd_read(self._woken)
                while not self._stopping and (parts := inlet.receive()) is not None:
                    self._received(parts)
        except EveryframeError as exc:
            self.failure = exc
            self._complain(exc)
        finally:
            with suppress(Exception):
                self._release()
            if inlet is not None:
                inlet.close()

    def _received(self, parts: list[bytes]) -> None:
        """Do what a message asks for. What goes wrong costs the connection its place here, not the thread."""
        try:
            self._receive(parts)
        except DeviceLost:
            raise
        except Exception as exc:  # noqa: BLE001 - whatever it is, the camera worker can still decode by itself
            if not self._stopping:
                self._refuse(exc)

    def _receive(self, parts: list[bytes]) -> None:
        try:
            message: ToDecoder = decode_to_decoder(parts[0])
        except (msgspec.DecodeError, IndexError):
            return  # an ended worker may have sent half a message
        if isinstance(message, Opened):
            if message.session > self._session:  # what a dead worker sent may still come between
                self._open(message)
        elif message.session != self._session:
            return
        elif isinstance(message, Coded):
            self._own.taken_ns = time.monotonic_ns()
            if len(parts) > 1:
                self._decode(message, parts[1])
        elif isinstance(message, Drain):
            if self._decoder is not None:
                self._give_held(self._decoder)
            self._own.drained = message.session
        else:
            self._close(message)

    def _open(self, opened: Opened) -> None:
        """A connection begins; one that was not closed has lost its camera worker."""
        self._release()
        self._out.end("worker_restart", final=False)
        if self._is_first:  # a vision worker before this one may have been ended with slots in its hands
            self._ring.reclaim()
            self._is_first = False
        self._session, self._failures, self._rate = opened.session, 0, Rate()
        self._allowed = self._load_seconds  # the first packet makes what the others use
        header = opened.header
        parts = self._parts
        if parts is None:
            self._refuse(DecodeError("no CUDA device can be used here"))
            return
        try:
            self._decoder = parts.decoder(header, self._source)
        except DecodeError as exc:
            self._refuse(exc)
            return
        self._ring.keep_on_device(parts.pool(), and_here=self._and_here)
        self._numbering = parts.numbering(
            header,
            self._source.source_id,
            next_epoch=self._next_epoch,
            wall_offset_ns=time.time_ns() - time.monotonic_ns(),
        )
        with changing(self._own):
            self._own.session, self._own.frames = opened.session, 0
            self._own.opened_ns = self._own.taken_ns = time.monotonic_ns()

    def _decode(self, message: Coded, data: bytes) -> None:
        decoder, numbering = self._decoder, self._numbering
        if decoder is None or numbering is None:
            return
        packet = message.packet(data)
        if packet.report is not None:
            numbering.hear(packet.report, now_ns=packet.arrival_ns)
        if packet.is_corrupt:
            self._own.undecoded += 1
            return
        if packet.after_hole and self._own.frames:
            self._give_held(decoder)
        pictures = self._tried(lambda: decoder.decode(packet))
        self._own.undecoded += pictures is None
        self._failures = 0 if pictures else self._failures + 1
        if self._failures >= MOST_FAILURES:
            self._refuse(DecodeError(f"{decoder.note}: {self._failures} packets in a row gave no picture"))
            return
        for picture in pictures or ():
            self._give(picture, arrival_ns=packet.arrival_ns)
        self._allowed = self._hang_seconds

    def _close(self, message: Closed) -> None:
        """Nothing more comes: give what the decoder holds back, and say how far the epoch went."""
        if self._decoder is not None:
            self._give_held(self._decoder)
        self._release()
        if message.settles:
            self._begin(self._next_epoch())
        self._out.end(message.reason, final=message.final)
        with changing(self._own):
            self._own.drained = self._own.ended = message.session

    def _give_held(self, decoder: PacketDecoder) -> None:
        """Give what the decoder holds back."""
        while not self._stopping and (held := self._tried(decoder.flush)):
            for picture in held:
                self._give(picture, arrival_ns=time.monotonic_ns())

    def _tried(self, work: Callable[[], list[Decoded]]) -> list[Decoded] | None:
        """What the decoder gives; None where it fails. Marked on the board as long as it works."""
        self._since = time.monotonic()
        self._own.decoding = 1
        try:
            return work()
        except DecodeError:
            return None
        finally:
            self._own.decoding = 0
            self._since = 0.0

    def _give(self, picture: Decoded, *, arrival_ns: int) -> None:
        """Number a picture, and hand it on; where there is no room, wait (a file) or let it go (a camera)."""
        assert self._numbering is not None
        assert self._decoder is not None
        surface = picture.surface
        self._own.damaged += picture.is_damaged
        size = (surface.width, surface.height)
        frame = self._numbering.frame(surface, pts=picture.pts, size=size, now_ns=arrival_ns)
        self._renew_if_told()
        epoch, seq = self._labels.of(frame)
        if self._cells.publisher.closed_epoch >= epoch:  # its camera worker died, and it was ended meanwhile
            self._labels.renew()
            epoch, seq = self._labels.of(frame)
        if not self._begin(epoch):
            return
        self._out.captured()
        self._note(frame)
        slot = self._ring.take() or (self._wait_for_slot() if self._source.lossless else None)
        if slot is None:
            if not self._stopping and not self._renewing:
                self._out.lose(seq, "backlog")
            return
        try:
            read = self._out.send(frame, seq, slot, arrival_ns=arrival_ns)
        except DeviceLost:
            raise
        except Exception as exc:
            self._ring.release(slot)
            self._out.lose(seq, "decode_error")
            if type(exc).__name__ != "OutOfMemoryError":  # torch's; the next frame may find room
                raise
            self._complain(exc)
            return
        if read is not None:
            self._decoder.read_until(read)

    def _begin(self, epoch: int) -> bool:
        """Begin an epoch, or go on with it, once there is room for another; False where the thread is to end."""
        while not self._out.begin(epoch):
            if self._stopping:
                return False
            time.sleep(0.01)
        return True

    def _renew_if_told(self) -> None:
        if self._renewing:
            self._renewing = False
            self._out.reconnect("")
            self._labels.renew()

    def _wait_for_slot(self) -> Slot | None:
        """A slot, once half of them are free; None where the thread is to end, or the publisher was replaced."""
        poller = zmq.Poller()
        poller.register(self._ring.freed, zmq.POLLIN)
        poller.register(self._woken, zmq.POLLIN)
        patient = True
        try:
            while not self._stopping and not self._renewing:
                if self._ring.want(max(1, self._ring.geometry.slots // 2)) or not patient:
                    slot = self._ring.take()
                    if slot is not None:
                        return slot
                patient = bool(poller.poll(WAIT_MS))
            return None
        finally:
            self._ring.want(0)

    def _note(self, frame: Frame) -> None:
        own = self._own
        with changing(own):
            own.frames += 1
            own.width, own.height = frame.width, frame.height
            own.milli_fps = round(self._rate.seen(frame.arrival_monotonic_ns) * 1000)
            own.last_frame_time_ns, own.last_arrival_ns = time.time_ns(), frame.arrival_monotonic_ns

    def _refuse(self, error: Exception) -> None:
        """Tell the camera worker that this cannot be decoded here."""
        self._complain(DecodeError(f"{self._source.source_id}: {error}; decoded on the CPU from now on"))
        self._release()
        self._out.end("decode_error", final=False)
        with changing(self._own):
            self._own.session = self._own.refused = self._own.drained = self._own.ended = self._session

    def _release(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
        self._decoder = self._numbering = None

    def _next_epoch(self) -> int:
        return self._epochs.ask(self._occupant.number, ending=lambda: self._stopping)
