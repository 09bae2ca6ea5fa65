"""Sending media to one client: when, in which packets, and over what."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Protocol

from tests.cameras.behaviour import Behaviour, HangUp, Send, Stall
from tests.cameras.h264 import H264Video
from tests.cameras.reports import NS, Report
from tests.cameras.rtp import CLOCK_RATE, RtpSender


class Transport(Protocol):
    """What carries RTP and RTCP to a client."""

    answer: str  # what the server adds to the client's Transport header

    def send_rtp(self, packet: bytes) -> None:
        """Send one RTP packet."""

    def send_rtcp(self, packet: bytes) -> None:
        """Send one RTCP packet."""

    def close(self) -> None:
        """Release what is held."""


class InterleavedTransport:
    """RTP inside the RTSP connection (RFC 2326, 10.12)."""

    def __init__(self, send: Callable[[bytes], None], *, channel: int) -> None:
        self.answer = "ssrc=0EF00001"
        self._send = send
        self._channel = channel

    def send_rtp(self, packet: bytes) -> None:
        """One RTP packet on the even channel."""
        self._send(bytes((0x24, self._channel)) + len(packet).to_bytes(2, "big") + packet)

    def send_rtcp(self, packet: bytes) -> None:
        """One RTCP packet on the odd channel."""
        self._send(bytes((0x24, self._channel + 1)) + len(packet).to_bytes(2, "big") + packet)

    def close(self) -> None:
        """Nothing is held: the connection belongs to the server."""


class DatagramTransport:
    """RTP and RTCP in datagrams, from a pair of ports to a pair of ports."""

    def __init__(self, host: str, client_host: str, client_port: int) -> None:
        self._rtp, self._rtcp = _port_pair(host)
        self._client = (client_host, client_port)
        self._client_rtcp = (client_host, client_port + 1)
        port = self._rtp.getsockname()[1]
        self.answer = f"server_port={port}-{port + 1};ssrc=0EF00001"

    def send_rtp(self, packet: bytes) -> None:
        """One RTP packet."""
        self._rtp.sendto(packet, self._client)

    def send_rtcp(self, packet: bytes) -> None:
        """One RTCP packet."""
        self._rtcp.sendto(packet, self._client_rtcp)

    def close(self) -> None:
        """Give the ports back."""
        self._rtp.close()
        self._rtcp.close()


class MulticastTransport(DatagramTransport):
    """RTP and RTCP to a multicast group, on a pair of ports that nobody else on this machine has."""

    def __init__(self, host: str, group: str) -> None:
        self._reserved = _port_pair(host)
        port = self._reserved[0].getsockname()[1]
        self._rtp, self._rtcp = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self._client, self._client_rtcp = (group, port), (group, port + 1)
        self.answer = f"destination={group};port={port}-{port + 1};ttl=1;ssrc=0EF00001"

    def close(self) -> None:
        """Give the ports back."""
        super().close()
        for reserved in self._reserved:
            reserved.close()


def _port_pair(host: str) -> tuple[socket.socket, socket.socket]:
    """Sockets on an even port and the odd one after it."""
    while True:
        first = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        first.bind((host, 0))
        port = first.getsockname()[1]
        second = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with suppress(OSError):
            if port % 2 == 0:
                second.bind((host, port + 1))
                return first, second
        first.close()
        second.close()


class MediaSession(threading.Thread):
    """Sends one client its video at the pace of its frame rate until closed."""

    def __init__(
        self, video: H264Video, *, behaviour: Behaviour, transport: Transport, hang_up: Callable[[], None]
    ) -> None:
        super().__init__(name="rtsp-media", daemon=True)
        self._video = video
        self._behaviour = behaviour
        self._transport = transport
        self._hang_up = hang_up
        self._sender = RtpSender(first_timestamp=behaviour.clock.first_timestamp)
        self._clock = behaviour.clock.begin()
        self._reports = 0
        self._ended = threading.Event()

    def run(self) -> None:
        """Send until the script or the client ends."""
        with suppress(OSError):  # the client went away
            for packet in self._behaviour.packets(self._packets()):
                self._transport.send_rtp(packet)

    def close(self) -> None:
        """Stop sending; returns when the thread has ended."""
        self._ended.set()
        self.join()

    def _packets(self) -> Iterator[bytes]:
        """RTP packets, each when its time has come by the camera's clock, reports sent in between."""
        clock = self._clock = self._behaviour.clock.begin()
        self._behaviour.began_ns.append(clock.began_ns)
        next_report = clock.clock.first_report_seconds
        for step in self._behaviour.media(self._video):
            match step:
                case Stall():
                    self._stall()
                case HangUp():
                    self._hang_up()
                    return
                case Send():
                    due = float(step.decode_position / step.video.fps)
                    if self._ended.wait(clock.wait_for(due)):
                        return
                    if due >= next_report:
                        self._report()
                        next_report = due + clock.clock.report_seconds
                    timestamp = int(step.present_position * CLOCK_RATE / step.video.fps)
                    yield from self._sender.packetise(step.unit.nals, timestamp, codec=step.unit.codec)
            if self._ended.is_set():
                return

    def _stall(self) -> None:
        while not self._ended.wait(self._behaviour.clock.report_seconds):
            self._report()

    def _report(self) -> None:
        """The camera's wall clock now, beside the RTP time now."""
        elapsed = self._clock.elapsed()
        wall_ns = self._clock.began_ns + int(elapsed * NS)
        report = Report(self._reports, int(elapsed * CLOCK_RATE), wall_ns, self._sender.ssrc)
        self._reports += 1
        for sent in self._behaviour.report(report):
            self._transport.send_rtcp(self._sender.report(sent.timestamp, sent.wall_ns, ssrc=sent.ssrc))
