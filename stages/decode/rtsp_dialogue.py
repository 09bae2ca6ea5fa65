"""A conversation with an RTSP camera: requests and replies over one connection, all within one deadline."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from stages.decode.rtsp_messages import Credentials, NotRtsp, Reply, take_reply

_PORTS = {"rtsp": 554, "rtsps": 322}
_MOST_ANSWERS = 3  # to challenges, of which one may call another stale
_LEAVING_SECONDS = 1.0
_PIECE_BYTES = 16 << 10


class NoTls(Exception):  # noqa: N818 - reads as what was found
    """No TLS could be agreed upon."""


@dataclass(frozen=True, slots=True)
class Place:
    """Whom an address names, and what of him."""

    host: str
    port: int
    tls: bool
    uri: str  # without credentials
    credentials: Credentials | None

    @classmethod
    def of(cls, address: str) -> Place:
        """An expanded RTSP address, read as FFmpeg reads it. Raises `ValueError` where it names no host and port."""
        parts = urlsplit(address)
        scheme, host = parts.scheme.lower(), parts.hostname
        if not host:
            raise ValueError("no host")
        given, at, host_and_port = parts.netloc.rpartition("@")
        user, _, password = unquote(given, errors="surrogateescape").partition(":")
        rest = parts.path + (f"?{parts.query}" if parts.query else "")
        uri = _in_one_line(f"{scheme}://{host_and_port}{rest}")
        known = Credentials(user, password) if at else None
        return cls(host, parts.port or _PORTS[scheme], scheme == "rtsps", uri, known)


def _in_one_line(text: str) -> str:
    """What cannot begin another header."""
    return "".join(letter for letter in text if letter >= " ")


@contextmanager
def connected(place: Place, *, until: float) -> Iterator[socket.socket]:
    """A connection, for TLS made safe, by `until` on the monotonic clock. Raises `OSError` and `NoTls`.

    As in FFmpeg, whose certificate it is does not matter, and old ciphers will do: many cameras have no better.
    """
    with _plain(place, until) as channel:
        if not place.tls:
            yield channel
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        channel.settimeout(_left(until))
        try:
            safe = context.wrap_socket(channel, server_hostname=place.host)
        except TimeoutError:
            raise
        except (ssl.SSLError, ConnectionError) as exc:
            raise NoTls(str(exc)) from None
        with safe:
            yield safe


def _plain(place: Place, until: float) -> socket.socket:
    """A connection to the first of the host's addresses that takes one; the time is divided among them."""
    found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    error: OSError = OSError("no address")
    for tried, (family, kind, protocol, _, peer) in enumerate(found):
        channel = socket.socket(family, kind, protocol)
        try:
            channel.settimeout(_left(until) / (len(found) - tried))
            channel.connect(peer)
        except OSError as exc:
            channel.close()
            error = exc
        else:
            return channel
    raise error


class Dialogue:
    """Asks, with the credentials once they are asked for."""

    def __init__(self, channel: socket.socket, place: Place, *, until: float) -> None:
        self._channel, self._place, self._until = channel, place, until
        self._received = bytearray()
        self._number = 0

    def ask(self, method: str, uri: str, **headers: str) -> Reply:
        """The reply to a request, after challenges were answered. Raises `OSError`, `EOFError`, `NotRtsp`."""
        known = self._place.credentials
        for _ in range(_MOST_ANSWERS):
            reply = self._exchange(method, uri, headers, "" if known is None else known.answer(method, uri))
            if reply.status != 401 or known is None or not known.hear(reply.all("www-authenticate")):
                break
        return reply

    def leave(self, uri: str, **headers: str) -> None:
        """Give up what was set up; a camera that does not answer to that is not waited for."""
        self._until = min(self._until, time.monotonic() + _LEAVING_SECONDS)
        with suppress(OSError, EOFError, NotRtsp):
            self.ask("TEARDOWN", uri, **headers)

    def _exchange(self, method: str, uri: str, headers: dict[str, str], authorization: str) -> Reply:
        self._number += 1
        said = {"CSeq": str(self._number), "User-Agent": "everyframe", **headers}
        said |= {"Authorization": authorization} if authorization else {}
        lines = [f"{method} {uri} RTSP/1.0", *(f"{name}: {value}" for name, value in said.items()), "", ""]
        data = "\r\n".join(map(_in_one_line, lines)).encode("utf-8", "surrogateescape")
        self._channel.settimeout(_left(self._until))
        self._channel.sendall(data)
        while (reply := take_reply(self._received)) is None:
            self._channel.settimeout(_left(self._until))
            piece = self._channel.recv(_PIECE_BYTES)
            if not piece:
                raise EOFError
            self._received += piece
        return reply


def _left(until: float) -> float:
    """Seconds until then. Raises `TimeoutError` where it is over."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
