"""Before FFmpeg opens an RTSP camera, the camera is asked what it will say; afterwards, to whom FFmpeg is connected.

FFmpeg follows a camera's redirect to any host, and over UDP sends packets to whatever host the camera names as the
source of its media; there is no option against either. So the same questions are put to the camera first, over a
connection of their own. What it refuses here is told with certainty, and FFmpeg does not try the password once more.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from pipeline.config import SourceConfig
from pipeline.errors import SourceError, SourceNotFound, SourceUnreachable, SourceUnsupported
from stages.decode.faults import (
    moved_fault,
    named,
    refused_fault,
    silent_fault,
    status_fault,
    tls_fault,
    unreadable_fault,
    unresolved_fault,
)
from stages.decode.rtsp_dialogue import Dialogue, NoTls, Place, connected
from stages.decode.rtsp_messages import NotRtsp, Reply, media_destinations, media_sources, video_controls

RTSP_SCHEMES = ("rtsp", "rtsps")

_MOST_VIDEOS = 4  # of one description, each of which is set up over UDP


@dataclass(frozen=True, slots=True)
class Called:
    """A camera that was called on and had nothing against it."""

    source: SourceConfig
    addresses: frozenset[tuple[str, int]]  # of the camera: IP and port
    sockets: frozenset[str]  # that this process had before FFmpeg opened its own
    took_seconds: float

    @property
    def seconds_left(self) -> float:
        """What FFmpeg gets to open the camera. It may spend it twice; all together stays within twice the timeout."""
        allowed = self.source.open_timeout_seconds
        return allowed - min(self.took_seconds, allowed) / 2

    def check_peer(self) -> None:
        """See that FFmpeg is connected to the camera and not to where it was sent. Raises `SourceNotFound`."""
        peers = {peer for name, peer in _connections() if name not in self.sockets}
        if peers and not peers & self.addresses:  # none at all: the camera has reset it, which reading finds out
            raise SourceNotFound(
                f"{named(self.source)} sent FFmpeg to another address when it was asked again, which is not followed"
            )


def call_on(source: SourceConfig, address: str) -> Called:
    """Ask the camera behind an expanded RTSP address for its stream. Raises `SourceError` where it does not give it.

    It is asked what FFmpeg will ask: for options, for its description, and over UDP to set up each video, which is
    torn down again at once.
    """
    try:
        return _called(source, address)
    except (OSError, EOFError, ValueError, NoTls) as exc:
        fault = _fault_of(exc, source)
    # Raised out of the handler's reach, so that not even `__context__` holds an error that may quote the address.
    raise fault


def _called(source: SourceConfig, address: str) -> Called:
    began = time.monotonic()
    until = began + source.open_timeout_seconds
    place = Place.of(address)
    with connected(place, until=until) as channel:
        peer = channel.getpeername()
        Interview(source, address, place, Dialogue(channel, place, until=until), peer=str(peer[0])).hold()
    found = [entry[4] for entry in socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)]
    addresses = frozenset((str(each[0]), int(each[1])) for each in (peer, *found))
    sockets = frozenset(name for name, _ in _connections())
    return Called(source, addresses, sockets, time.monotonic() - began)


def _fault_of(exc: Exception, source: SourceConfig) -> SourceError:
    """An error of the connection, or of the address, as ours."""
    if isinstance(exc, NoTls):
        return tls_fault(source)
    if isinstance(exc, TimeoutError):
        return silent_fault(source)
    if isinstance(exc, ConnectionRefusedError):
        return refused_fault(source)
    if isinstance(exc, NotRtsp | EOFError | ConnectionError):
        return unreadable_fault(source)
    if isinstance(exc, socket.gaierror | ValueError):  # ValueError: a host or a port that is none
        return unresolved_fault(source)
    return SourceUnreachable(f"{named(source)} could not be connected: {getattr(exc, 'strerror', None) or 'no reason'}")


class Interview:
    """The questions, and what is not taken as an answer."""

    def __init__(self, source: SourceConfig, address: str, place: Place, dialogue: Dialogue, *, peer: str) -> None:
        self._source, self._address, self._place = source, address, place
        self._dialogue, self._peer = dialogue, peer

    def hold(self) -> None:
        """Ask everything. Raises `SourceError`, and what `Dialogue.ask` does."""
        self._ask("OPTIONS", self._place.uri)
        description = self._ask("DESCRIBE", self._place.uri, Accept="application/sdp")
        if self._source.transport != "tcp":
            base = description.first("content-base") or description.first("content-location") or self._place.uri
            self._set_up(video_controls(description.body, base))

    def _ask(self, method: str, uri: str, **headers: str) -> Reply:
        reply = self._dialogue.ask(method, uri, **headers)
        if 300 <= reply.status < 400:
            raise moved_fault(reply.status, reply.first("location"), source=self._source, address=self._address)
        if reply.status >= 400:
            raise status_fault(reply.status, source=self._source, address=self._address)
        return reply

    def _set_up(self, controls: list[str]) -> None:
        """Whence would media come over UDP? FFmpeg sends packets there, to open the way through a router."""
        if len(controls) > _MOST_VIDEOS:
            raise SourceUnsupported(f"{named(self._source)} describes {len(controls)} videos; {_MOST_VIDEOS} are taken")
        session: dict[str, str] = {}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as claimed:
            claimed.bind(("", 0))
            port = claimed.getsockname()[1] & ~1
            unicast = self._source.transport == "udp"
            transport = "RTP/AVP/UDP;" + (f"unicast;client_port={port}-{port + 1}" if unicast else "multicast")
            try:
                for control in controls:
                    reply = self._ask("SETUP", control, Transport=transport, **session)
                    session = {"Session": reply.first("session").partition(";")[0]}
                    self._check_sources(reply)
                    if not unicast:
                        self._check_groups(reply)
            finally:
                if session:
                    self._dialogue.leave(self._place.uri, **session)

    def _check_sources(self, reply: Reply) -> None:
        for host in media_sources(reply):
            if host.lower() not in (self._peer, self._place.host):
                shown = "".join(letter for letter in host if letter.isprintable())[:64]
                raise SourceUnsupported(
                    f"{named(self._source)} names another host ({shown}) as the source of its media over UDP, which is "
                    "not followed; try transport: tcp"
                )

    def _check_groups(self, reply: Reply) -> None:
        """Where would FFmpeg listen, and send its receiver reports? To a group, and to no host that is named as one."""
        for group in media_destinations(reply):
            if not _is_group(group):
                shown = "".join(letter for letter in group if letter.isprintable())[:64] or "nothing"
                raise SourceUnsupported(
                    f"{named(self._source)} names {shown} as the multicast group of its media; try transport: tcp"
                )


def _is_group(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_multicast
    except ValueError:
        return False


def _connections() -> Iterator[tuple[str, tuple[str, int]]]:
    """This process's TCP connections: the name of the socket, which no other has, and whom it is connected to."""
    for entry in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # closed meanwhile, by another thread; or no connection
            name = os.readlink(f"/proc/self/fd/{entry}")
            if name.startswith("socket:"):
                with socket.socket(fileno=os.dup(int(entry))) as copy:
                    if copy.family in (socket.AF_INET, socket.AF_INET6) and copy.type == socket.SOCK_STREAM:
                        peer = copy.getpeername()
                        yield name, (str(peer[0]), int(peer[1]))
