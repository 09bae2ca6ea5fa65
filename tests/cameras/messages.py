"""RTSP requests and responses (RFC 2326) as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BufferedIOBase
from urllib.parse import urlsplit

REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    454: "Session Not Found",
    461: "Unsupported Transport",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked."""

    method: str
    url: str
    headers: dict[str, str]  # names in lower case

    @property
    def path(self) -> str:
        """The path of the url, without a trailing slash."""
        return urlsplit(self.url).path.rstrip("/")

    @property
    def query(self) -> str:
        """The part of the url after `?`."""
        return urlsplit(self.url).query


@dataclass(slots=True)
class Response:
    """What the camera answers."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def encode(self, request: Request) -> bytes:
        """The bytes to send; the request's CSeq is repeated."""
        headers = {"CSeq": request.headers.get("cseq", "0"), **self.headers}
        if self.body:
            headers["Content-Length"] = str(len(self.body))
        lines = [f"RTSP/1.0 {self.status} {REASONS.get(self.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def read_request(stream: BufferedIOBase) -> Request | None:
    """The next request; interleaved packets from the client (its receiver reports) are passed over. None at the end."""
    while (first := stream.read(1)) in (b"$", b"\r", b"\n"):
        if first == b"$":
            _channel, high, low = stream.read(3)
            stream.read(high << 8 | low)
    words = (first + stream.readline()).decode("latin-1").split()
    if len(words) != 3:
        return None
    headers: dict[str, str] = {}
    while (header := stream.readline().decode("latin-1").strip()) != "":
        name, _, value = header.partition(":")
        headers[name.strip().lower()] = value.strip()
    stream.read(int(headers.get("content-length", "0")))
    return Request(words[0], words[1], headers)
