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
from pipeline.workers.packets import Closed, Coded, Opened, Restarted, ToDecoder, decode_to_decoder

LINK_PACKETS = 32  # on either side of a link before a live camera's are dropped, and a file waits
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
        self._closed = False

    def ask(self, source: int) -> int:
        """A new epoch of a source, waited for. Raises `ConfigError` where none can be kept or nobody answers now."""
        with self._changed:
            self._wanted.append(source)
            self._wake()
            self._changed.wait_for(lambda: self._closed or source in self._answers)
            if self._closed:
                raise ConfigError("the worker is closing")
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

    def close(self) -> None:
        """Whoever still waits is told that there is none."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class DecodingCamera(threading.Thread):
    """Decodes the packets of one source until told to stop."""

    def __init__(
        self,
        occupant: Occupant,
        *,
        address: str,
        parts: DeviceParts,
        epochs: Given,
        feed: Handover,
        complain: Callable[[Exception], None],
        and_here: bool,
    ) -> None:
        """`and_here`: pictures are wanted in shared memory as well."""
        super().__init__(name=f"decoding-{occupant.source.source_id}", daemon=True)
        self._occupant, self._parts, self._epochs = occupant, parts, epochs
        self._source, self._ring, self._cells = occupant.source, occupant.ring, occupant.cells
        self._own = occupant.cells.decode
        self._address, self._complain, self._and_here = address, complain, and_here
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
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stopping = False
        self._decoder: PacketDecoder | None = None
        self._numbering: Numbering | None = None
        self._session = 0
        self._rate = Rate()
        self._failures = 0
        self._since = 0.0  # monotonic seconds at which the decoder was given what it has
        self.failure: EveryframeError | None = None  # the worker must end

    def stop(self, seconds: float) -> None:
        """Have it end, and wait for that so long; from another thread."""
        self._stopping = True
        os.eventfd_write(self._stop, 1)
        self.join(seconds)
        if not self.is_alive():
            os.close(self._stop)

    def hangs(self, seconds: float) -> bool:
        """Whether the decoder has had a packet for longer than that."""
        since = self._since
        return since > 0 and time.monotonic() - since > seconds

    def run(self) -> None:
        """Decode what comes."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        inlet = ReceivingEnd(context, self._address, capacity=LINK_PACKETS)
        poller = zmq.Poller()
        poller.register(inlet.waitable, zmq.POLLIN)
        poller.register(self._stop, zmq.POLLIN)
        try:
            while not self._stopping:
                poller.poll(WAIT_MS)
                while not self._stopping and (parts := inlet.receive()) is not None:
                    self._receive(parts)
        except DeviceLost as exc:
            self.failure = exc
            self._complain(exc)
        except Exception as exc:  # noqa: BLE001 - a fault of one source ends its thread; it is told, and the others go on
            self._complain(exc)
        finally:
            if self._decoder is not None:
                with suppress(Exception):
                    self._decoder.close()
            inlet.close()
            context.term()

    def _receive(self, parts: list[bytes]) -> None:
        try:
            message: ToDecoder = decode_to_decoder(parts[0])
        except (msgspec.DecodeError, IndexError):
            return  # an ended worker may have sent half a message
        if isinstance(message, Opened):
            self._open(message)
        elif isinstance(message, Restarted):
            self._out.reconnect("")
            self._labels.renew()
        elif message.session != self._session:
            return
        elif isinstance(message, Coded):
            if len(parts) > 1:
                self._decode(message, parts[1])
        else:
            self._close(message)

    def _open(self, opened: Opened) -> None:
        """A connection begins; one that was not closed has lost its camera worker."""
        self._release()
        self._out.end("worker_restart", final=False)
        self._ring.reclaim()
        self._session, self._failures, self._rate = opened.session, 0, Rate()
        with changing(self._own):
            self._own.session, self._own.frames = opened.session, 0
        header = opened.header
        try:
            self._decoder = self._parts.decoder(header, self._source)
        except DecodeError as exc:
            self._refuse(exc)
            return
        self._ring.keep_on_device(self._parts.pool(), and_here=self._and_here)
        self._numbering = self._parts.numbering(
            header,
            self._source.source_id,
            next_epoch=self._next_epoch,
            wall_offset_ns=time.time_ns() - time.monotonic_ns(),
        )

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
        pictures = self._tried(lambda: decoder.decode(packet))
        if pictures is None:
            self._own.undecoded += 1
            self._failures += 1
            if self._failures >= MOST_FAILURES:
                self._refuse(DecodeError(f"{decoder.note}: {self._failures} packets in a row gave no picture"))
            return
        for picture in pictures:
            self._failures = 0
            self._give(picture, arrival_ns=packet.arrival_ns)

    def _close(self, message: Closed) -> None:
        """Nothing more comes: give what the decoder holds back, and say how far the epoch went."""
        decoder = self._decoder
        if decoder is not None:
            while not self._stopping and (held := self._tried(decoder.flush)):
                for picture in held:
                    self._give(picture, arrival_ns=time.monotonic_ns())
        self._release()
        self._out.end(message.reason, final=message.final)
        with changing(self._own):
            self._own.ended = message.session

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
        epoch, seq = self._labels.of(frame)
        while not self._out.begin(epoch):
            if self._stopping:
                return
            time.sleep(0.01)
        self._out.captured()
        self._note(frame)
        slot = self._ring.take() or (self._wait_for_slot() if self._source.lossless else None)
        if slot is not None:
            read = self._out.send(frame, seq, slot, arrival_ns=arrival_ns)
            if read is not None:
                self._decoder.read_until(read)
        elif not self._stopping:
            self._out.lose(seq, "backlog")

    def _wait_for_slot(self) -> Slot | None:
        """A slot, once half of them are free; None where the thread is told to stop."""
        poller = zmq.Poller()
        poller.register(self._ring.freed, zmq.POLLIN)
        poller.register(self._stop, zmq.POLLIN)
        patient = True
        try:
            while not self._stopping:
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
            self._own.refused = self._own.ended = self._session

    def _release(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
        self._decoder = self._numbering = None

    def _next_epoch(self) -> int:
        return self._epochs.ask(self._occupant.number)
