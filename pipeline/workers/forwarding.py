"""A camera worker whose packets the vision worker decodes: read, sent on, and watched for frames that come of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import zmq

from pipeline.address import is_live
from pipeline.board import SourceCells, changing
from pipeline.config import SourceConfig
from pipeline.errors import SourceError
from pipeline.links.link import Link
from pipeline.messages import CodedPacket, GapReason
from pipeline.stage import PacketReader
from pipeline.workers.packets import Closed, Coded, Opened, Restarted, ToDecoder, encode, packet_address

SEND_WAIT_MS = 200
CLOSE_SECONDS = 2.0  # for the vision worker to take the end of a connection; of a file, it has as long as it works


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
        self._announced = False  # the decoder knows of the connection, since it was last another one
        self._restart_due = False
        self._skipping = False
        self._unsent = 0  # packets of this connection that were dropped

    def renew(self, outlet: str) -> None:
        """Send to another vision worker from now on, or tell the same one that the publisher is another."""
        if outlet == self._outlet:
            self._restart_due = self._announced
            return
        self._outlet = outlet
        if self._link is not None:
            self._link.close()
            self._link = None
        self._announced = False

    def forward(self, reader: PacketReader, hands: Hands) -> SourceError | None:
        """Send a connection's packets on until it ends, or is to end; what went wrong, if anything did.

        Raises `Refused` where they cannot be decoded.
        """
        camera, received = self._cells.camera, self._cells.camera.received_bytes
        undecoded = camera.undecoded
        self._announced, self._skipping, self._unsent = False, False, 0
        with changing(camera):
            camera.sends_packets = 1
        live, streaming, shown = is_live(self._source.url), False, 0
        heard_ns = time.monotonic_ns()
        for packet in reader:
            if not hands.tend():
                return None
            shown += packet.is_shown
            self._send(packet, reader, hands)
            camera.received_bytes, camera.undecoded = received + reader.received_bytes, undecoded + self._unsent
            if self._is_refused:
                raise Refused
            if not streaming and self._frames:
                streaming = True
                hands.streams(reader.header.codec, expected_frames=reader.header.frame_count or 0)
            if live and (silent := self._silent_seconds(heard_ns)) > self._source.read_timeout_seconds:
                return reader.failure(frames=self._frames, silent_seconds=silent)
            hands.reading()
        if live:
            return reader.failure(frames=self._frames, silent_seconds=None)
        return self._end_of_file(reader, hands, shown=shown, streaming=streaming, undecoded=undecoded)

    def close(self, reason: GapReason, *, final: bool, hands: Hands, patient: bool = False) -> None:
        """The connection brings nothing more. `patient`: wait until all that was sent has been decoded."""
        if not self._announced:
            return
        session, self._announced = self._session, False
        deadline = time.monotonic() + CLOSE_SECONDS
        sent = self._sent([Closed(session, reason, final)], b"")
        while not sent and (patient or time.monotonic() < deadline):
            self._wait_for_room(hands)
            if patient and not hands.tend():
                return
            sent = self._sent([Closed(session, reason, final)], b"")
        while sent and self._cells.decode.ended < session and (patient or time.monotonic() < deadline):
            hands.waiting()
            if patient and not hands.tend():
                return
            time.sleep(0.01)

    def end(self, flush_seconds: float) -> None:
        """Give what was sent up to so long to leave."""
        if self._link is not None:
            self._link.close(flush_seconds=flush_seconds)

    def _end_of_file(
        self, reader: PacketReader, hands: Hands, *, shown: int, streaming: bool, undecoded: int
    ) -> SourceError | None:
        self.close("shutdown", final=True, hands=hands, patient=True)
        if self._is_refused:
            raise Refused
        header, frames = reader.header, self._frames
        missing = max(shown - frames, header.declared_packets - frames, 0)
        self._cells.camera.undecoded = undecoded + max(missing - self._cells.decode.undecoded, 0)
        if not frames:
            return reader.failure(frames=0, silent_seconds=None)
        if not streaming:
            hands.streams(header.codec, expected_frames=header.frame_count or 0)
        return None

    def _send(self, packet: CodedPacket, reader: PacketReader, hands: Hands) -> None:
        """Send a packet; of a live source with no room, it and those after it are dropped up to the next key frame."""
        if (not self._announced or self._skipping) and not packet.is_key:
            self._unsent += 1
            return
        while not self._tried(packet, reader):
            if not self._source.lossless:
                self._skipping = True
                self._unsent += 1
                return
            self._wait_for_room(hands)
            if not hands.tend() or self._is_refused:
                return
            if not self._announced and not packet.is_key:  # another vision worker by now
                self._unsent += 1
                return
        self._skipping = False

    def _tried(self, packet: CodedPacket, reader: PacketReader) -> bool:
        if self._restart_due and self._sent([Restarted()], b""):
            self._restart_due = False
        if not self._announced:
            session = self._session + 1
            if not self._sent([Opened.of(reader.header, session=session)], b""):
                return False
            self._session, self._announced, self._restart_due = session, True, False
        return self._sent([Coded.of(packet, session=self._session)], packet.data)

    def _sent(self, messages: list[ToDecoder], data: bytes) -> bool:
        if self._link is None:
            self._link = self._link_to(packet_address(self._outlet, self._number))
        return all(self._link.send([encode(message), data]) for message in messages)

    def _wait_for_room(self, hands: Hands) -> None:
        hands.waiting()
        poller = zmq.Poller()
        if self._link is not None:
            poller.register(self._link.waitable, zmq.POLLOUT)
        poller.poll(SEND_WAIT_MS)

    @property
    def _frames(self) -> int:
        """Frames that were decoded of this connection."""
        decode = self._cells.decode
        return decode.frames if decode.session == self._session else 0

    @property
    def _is_refused(self) -> bool:
        return self._announced_once and self._cells.decode.refused == self._session

    @property
    def _announced_once(self) -> bool:
        return self._cells.decode.session == self._session

    def _silent_seconds(self, since_ns: int) -> float:
        """How long nothing was decoded, of this connection."""
        decode = self._cells.decode
        last_ns = max(since_ns, decode.last_arrival_ns if decode.session == self._session else 0)
        return (time.monotonic_ns() - last_ns) / 1e9
