"""RTSP as it goes over the wire (RFC 2326): a camera's replies, and answers to its challenges. Pure functions.

As lenient as FFmpeg, which speaks to the same camera afterwards: bare newlines, packets and requests of the camera in
between, a challenge more than one. What is read is bounded.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MOST_BYTES = 256 << 10  # of a reply with its description, and of what comes before it

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # what a value that we repeat could end its line with
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(r"RTSP/[0-9.]+\s+(?P<status>[0-9]{3})(?!\S)")
_PARAMETER = re.compile(r'(?P<name>[A-Za-z]+)\s*=\s*(?:"(?P<quoted>[^"]*)"|(?P<plain>[^\s,"]+))')
_ALGORITHMS = ("md5", "md5-sess")  # FFmpeg knows no others
_SOURCE = re.compile(r"(?:^|[;,])\s*source\s*=\s*(?P<host>[^;,]*)", re.IGNORECASE)
_DESTINATION = re.compile(r"(?:^|[;,])\s*destination\s*=\s*(?P<host>[^;,]*)", re.IGNORECASE)


class NotRtsp(ValueError):  # noqa: N818 - reads as what came
    """What came is no reply, or too long for one."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A camera's answer to one request."""

    status: int
    headers: tuple[tuple[str, str], ...]  # names in lower case; one may be there more than once
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        """The values of a header."""
        return [value for header, value in self.headers if header == name]

    def first(self, name: str) -> str:
        """The first value of a header, or nothing."""
        return next(iter(self.all(name)), "")


def take_reply(data: bytearray) -> Reply | None:
    """The first whole reply, taken off the front of `data` with all before it; None as long as there is none.

    Raises `NotRtsp`.
    """
    while True:
        del data[: len(data) - len(data.lstrip(b"\r\n"))]
        taken = _packet(data) if data[:1] == b"$" else _message(data)
        if taken is None:
            if len(data) > MOST_BYTES:
                raise NotRtsp(f"a reply of more than {MOST_BYTES} bytes")
            return None
        reply, length = taken
        del data[:length]
        if reply is not None:
            return reply


def _packet(data: bytearray) -> tuple[None, int] | None:
    """An interleaved packet, which is none of our business, and its length."""
    length = 4 + int.from_bytes(data[2:4], "big")
    return (None, length) if 4 <= len(data) >= length else None


def _message(data: bytearray) -> tuple[Reply | None, int] | None:
    """A reply, or None for a request of the camera's, and its length."""
    end = _HEAD_END.search(data)
    if end is None:
        return None
    first, *lines = data[: end.start()].decode("latin-1").split("\n")
    parts = (line.partition(":") for line in lines)
    headers = tuple((name.strip().lower(), _CONTROL.sub(" ", value).strip()) for name, _, value in parts)
    length = end.end() + _content_length(headers)
    if length > MOST_BYTES:
        raise NotRtsp(f"a reply of {length} bytes; at most {MOST_BYTES} are read")
    if len(data) < length:
        return None
    status = _STATUS.match(first)
    if status is None:
        if first.startswith("RTSP/") or not first.rstrip().endswith(("RTSP/1.0", "RTSP/2.0")):
            raise NotRtsp("what came is neither a reply nor a request")
        return None, length
    return Reply(int(status["status"]), headers, bytes(data[end.end() : length])), length


def _content_length(headers: Iterable[tuple[str, str]]) -> int:
    text = dict(headers).get("content-length", "0")
    if not re.fullmatch("[0-9]{1,9}", text):
        raise NotRtsp("a reply of no length that can be read")
    return int(text)


@dataclass(slots=True)
class Credentials:
    """A user and a password, and the challenge they are to answer."""

    user: str
    password: str
    _realm: str = ""
    _nonce: str = ""
    _opaque: str = ""
    _algorithm: str = ""
    _with_qop: bool = False
    _scheme: str = ""
    _count: int = 0

    def hear(self, challenges: Iterable[str]) -> bool:
        """Take in what `WWW-Authenticate` says; whether there is something new to be answered. Digest goes first.

        A challenge that was answered already is not answered again, which would count as another wrong login.
        """
        read = [(scheme.lower(), rest) for scheme, _, rest in (text.partition(" ") for text in challenges)]
        before, nonce = self._scheme, self._nonce
        for values in (_parameters(rest) for scheme, rest in read if scheme == "digest"):
            if values.get("algorithm", "MD5").lower() in _ALGORITHMS:
                self._scheme, self._count = "digest", 0
                self._realm, self._nonce = values.get("realm", ""), values.get("nonce", "")
                self._opaque, self._algorithm = values.get("opaque", ""), values.get("algorithm", "")
                self._with_qop = "auth" in re.split(r"[\s,]+", values.get("qop", ""))
                stale = values.get("stale", "").lower() == "true" and self._nonce != nonce
                return not before or (before == "digest" and stale)
        if any(scheme == "basic" for scheme, _ in read):
            self._scheme = "basic"
        return bool(self._scheme) and not before

    def answer(self, method: str, uri: str) -> str:
        """The value of `Authorization` for a request; empty as long as nobody asked."""
        if self._scheme == "basic":
            given = f"{self.user}:{self.password}".encode("utf-8", "surrogateescape")
            return f"Basic {base64.b64encode(given).decode()}"
        return self._digest(method, uri) if self._scheme == "digest" else ""

    def _digest(self, method: str, uri: str) -> str:
        self._count += 1
        count, own = f"{self._count:08x}", secrets.token_hex(8)
        who = _md5(f"{self.user}:{self._realm}:{self.password}")
        if self._algorithm.lower() == "md5-sess":
            who = _md5(f"{who}:{self._nonce}:{own}")
        middle = f"{self._nonce}:{count}:{own}:auth" if self._with_qop else self._nonce
        values = {
            "username": self.user,
            "realm": self._realm,
            "nonce": self._nonce,
            "uri": uri,
            "response": _md5(f"{who}:{middle}:{_md5(f'{method}:{uri}')}"),
        }
        quoted = [f'{name}="{value}"' for name, value in values.items()]
        quoted += [f"algorithm={self._algorithm}"] if self._algorithm else []
        quoted += [f'opaque="{self._opaque}"'] if self._opaque else []
        quoted += [f'qop=auth, nc={count}, cnonce="{own}"'] if self._with_qop else []
        return f"Digest {', '.join(quoted)}"


def _parameters(challenge: str) -> dict[str, str]:
    found = _PARAMETER.finditer(challenge)
    return {match["name"].lower(): match["quoted"] or match["plain"] or "" for match in found}


def _md5(text: str) -> str:
    return hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


def video_controls(description: bytes, base: str) -> list[str]:
    """Where each video of a description (SDP) is set up, as FFmpeg puts it together."""
    controls: list[str] = []
    within_video = within_media = False
    for line in description.decode("latin-1").splitlines():
        if line.startswith("m="):
            within_media, within_video = True, line.lower().startswith("m=video")
            controls += [base] if within_video else []
        elif line.startswith("a=control:") and (within_video or not within_media):
            control = line.removeprefix("a=control:").strip()
            if not within_media:
                base = _joined(base, control)
            else:
                controls[-1] = _joined(base, control)
    return controls


def _joined(base: str, control: str) -> str:
    if control in ("", "*"):
        return base
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", control):
        return control
    return base.removesuffix("/") + "/" + control


def media_sources(reply: Reply) -> Iterator[str]:
    """The hosts that a reply to SETUP names as where media comes from."""
    for transport in reply.all("transport"):
        yield from (match["host"].strip() for match in _SOURCE.finditer(transport))


def media_destinations(reply: Reply) -> Iterator[str]:
    """The addresses that a reply to SETUP names as where media goes; an empty one where it names none."""
    for transport in reply.all("transport") or [""]:
        named = [match["host"].strip() for match in _DESTINATION.finditer(transport)]
        yield from named or [""]
