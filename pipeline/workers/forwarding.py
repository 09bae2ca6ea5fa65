"""A camera worker whose packets the vision worker decodes: read, sent on, and watched for frames that come of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec
import zmq

from pipeline.address import is_live
from pipeline.board import SourceCells, changing
from pipeline.config import SourceConfig
from pipeline.errors import SourceError
from pipeline.links.link import Link
from pipeline.messages import CodedPacket, GapReason, StreamHeader
from pipeline.stage import PacketReader
from pipeline.workers.packets import Closed, Coded, Drain, Opened, ToDecoder, encode, packet_address

SEND_WAIT_MS = 200
CLOSE_SECONDS = 1.0  # for the vision worker to take the end of a connection; of a file, it has as long as it works


Done = Literal["drained", "ended"]


class Hands(Protocol):
    """What the camera worker does while packets are forwarded."""

    def tend(self) -> bool:
        """Obey orders, and wait while held; False: the source is to end."""

    def reading(self) -> None:
        """Stamp that the next packet may take its time."""

    def waiting(self) -> None:
        """Stamp that somebody else is waited for."""

    def streams(self, codec: str, *, expected_frames: int) -> None:
        """The first frame was decoded."""


class Refused(Exception):  # noqa: N818
    """The vision worker cannot decode these packets."""


class Forwarder:
    """Forwards packets of one source, connection after connection."""

    def __init__(
        self, source: SourceConfig, number: int, *, outlet: str, cells: SourceCells, link_to: Callable[[str], Link]
    ) -> None:
        """`link_to` opens the link to an address."""
        self._source, self._number, self._cells = source, number, cells
        self._link_to = link_to
        self._outlet = outlet
        self._link: Link | None = None
        # A later worker of the source goes on counting where this one ended.
        self._session = max(cells.decode.session, cells.decode.ended)
        self._before = self._session  # what was numbered so, or lower, is not of this connection and vision worker
        self._header: StreamHeader | None = None
        self._announced = False  # the decoder knows of the connection, since it was last another one
        self._skipping = False
        self._unsent = 0  # packets of this connection that were dropped
        self._seen_key = False  # of this connection
        self._since_ns = 0  # when it began
        self._earlier = 0  # frames of this connection that vision workers before this one decoded

    def renew(self, outlet: str) -> None:
        """Send to another vision worker from now on, if it is another."""
        if outlet == self._outlet:
            return
        self._earlier += self._frames_now
        self._before = self._session
        self._outlet, self._announced = outlet, False
        if self._link is not None:
            self._link.close()
            self._link = None

    def forward(self, reader: PacketReader, hands: Hands) -> SourceError | None:
        """Send a connection's packets on until it ends, or is to end; what went wrong, if anything did.

        Raises `Refused` where they cannot be decoded.
        """
        camera, received = self._cells.camera, self._cells.camera.received_bytes
        undecoded = camera.undecoded
        self._header, self._announced, self._skipping = reader.header, False, False
        self._unsent = self._earlier = 0
        self._seen_key, self._since_ns = False, time.monotonic_ns()
        self._before = self._session
        with changing(camera):
            camera.sends_packets = 1
        live, streaming, shown = is_live(self._source.url), False, 0
        for packet in reader:
            if not hands.tend():
                return None
            shown += packet.is_shown
            self._seen_key = self._seen_key or packet.is_key
            self._send(packet, hands)
            camera.received_bytes, camera.undecoded = received + reader.received_bytes, undecoded + self._unsent
            if self._is_refused:
                raise Refused
            if not streaming and self._frames:
                streaming = True
                hands.streams(reader.header.codec, expected_frames=reader.header.frame_count or 0)
            if live and (silent := self._silent_seconds()) > self._source.read_timeout_seconds:
                return reader.failure(frames=self._frames, silent_seconds=silent)
            hands.reading()
        if live:
            return reader.failure(frames=self._frames, silent_seconds=None)
        return self._end_of_file(reader, hands, shown=shown, streaming=streaming, undecoded=undecoded)

    def close(self, reason: GapReason, *, final: bool, hands: Hands) -> None:
        """The connection brings nothing more."""
        if self._announced:
            self._told(lambda: Closed(self._session, reason, final, settles=False), "ended", hands, patient=False)
        self._announced = False

    def end(self, flush_seconds: float) -> None:
        """Give what was sent up to so long to leave."""
        if self._link is not None:
            self._link.close(flush_seconds=flush_seconds)

    def _told(self, message: Callable[[], ToDecoder], word: Done, hands: Hands, *, patient: bool) -> bool:
        """Whether the decoder has done what a message asks for, which `word` of the board tells by the connection.

        `patient`: it has as long as it works; but where it is another's turn to decode meanwhile, it was not told.
        """
        outlet, deadline = self._outlet, time.monotonic() + CLOSE_SECONDS

        def going_on() -> bool:
            hands.waiting()
            if self._outlet != outlet or not (patient or time.monotonic() < deadline):
                return False
            return not patient or hands.tend()

        while not (self._announce() and self._hand_on(message(), b"")):
            if not going_on():
                return False
            self._wait_for_room(hands)
        while getattr(self._cells.decode, word) < self._session:
            if not going_on():
                return False
            time.sleep(0.01)
        return True

    def _told_by_whoever_decodes(self, message: Callable[[], ToDecoder], word: Done, hands: Hands) -> bool:
        """The same of whichever vision worker there is by then; False where the source is to end."""
        while True:
            outlet = self._outlet
            if self._told(message, word, hands, patient=True):
                return True
            if outlet == self._outlet:
                return False

    def _end_of_file(
        self, reader: PacketReader, hands: Hands, *, shown: int, streaming: bool, undecoded: int
    ) -> SourceError | None:
        if not self._told_by_whoever_decodes(lambda: Drain(self._session), "drained", hands):
            return None
        if self._is_refused:
            raise Refused
        header, frames = reader.header, self._frames
        missing = max(shown - frames, header.declared_packets - frames, 0)
        self._cells.camera.undecoded = undecoded + max(missing - self._cells.decode.undecoded, 0)
        if frames and not streaming:
            hands.streams(header.codec, expected_frames=header.frame_count or 0)

        def end() -> Closed:
            # A vision worker that took over and decoded nothing ends, with an epoch of its own, that of the one before.
            return Closed(self._session, "shutdown", final=True, settles=bool(self._earlier) and not self._frames_now)

        self._told_by_whoever_decodes(end, "ended", hands)
        self._announced = False
        return None if frames else reader.failure(frames=0, silent_seconds=None)

    def _send(self, packet: CodedPacket, hands: Hands) -> None:
        """Send a packet; of a live source with no room, it and those after it are dropped up to the next key frame."""
        while not self._tried(packet):
            if not self._source.lossless or ((not self._announced or self._skipping) and not packet.is_key):
                self._skipping = True
                self._unsent += 1
                return
            self._wait_for_room(hands)
            if not hands.tend() or self._is_refused:
                return
        self._skipping = False

    def _tried(self, packet: CodedPacket) -> bool:
        if (not self._announced or self._skipping) and not packet.is_key:
            return False
        coded = Coded.of(packet, session=0, after_hole=self._skipping)
        return self._announce() and self._hand_on(msgspec.structs.replace(coded, session=self._session), packet.data)

    def _announce(self) -> bool:
        """Tell the decoder of the connection, if it does not know; False where there is no room."""
        if not self._announced:
            assert self._header is not None
            session = self._session + 1
            if not self._hand_on(Opened.of(self._header, session=session), b""):
                return False
            self._session, self._announced = session, True
        return True

    def _hand_on(self, message: ToDecoder, data: bytes) -> bool:
        if self._link is None:
            self._link = self._link_to(packet_address(self._outlet, self._number))
        return self._link.send([encode(message), data])

    def _wait_for_room(self, hands: Hands) -> None:
        hands.waiting()
        poller = zmq.Poller()
        if self._link is not None:
            poller.register(self._link.waitable, zmq.POLLOUT)
        poller.poll(SEND_WAIT_MS)

    @property
    def _frames(self) -> int:
        """Frames that were decoded of this connection."""
        return self._earlier + self._frames_now

    @property
    def _frames_now(self) -> int:
        """Those that the vision worker decoded which it is sent to now."""
        decode = self._cells.decode
        return decode.frames if decode.session == self._session > self._before else 0

    @property
    def _is_refused(self) -> bool:
        return self._cells.decode.refused == self._session > self._before

    def _silent_seconds(self) -> float:
        """How long packets were taken and gave no frame. A vision worker that loads takes none: no camera's fault."""
        decode = self._cells.decode
        if not self._seen_key:
            return (time.monotonic_ns() - self._since_ns) / 1e9
        if not self._announced or decode.session != self._session:
            return 0.0
        last_ns = max(decode.opened_ns, decode.last_arrival_ns)
        return (decode.taken_ns - last_ns) / 1e9
