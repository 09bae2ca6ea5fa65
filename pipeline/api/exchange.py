"""One question and its answer in HTTP/1.1, as bytes; sockets are elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

METHODS: Final = ("GET", "HEAD")
TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"

_ALWAYS: Final = "Connection: close\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"


class BadRequestError(Exception):
    """The head is not one of HTTP/1.x."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked. Header names are in lower case; a header that came twice is as if it had not come."""

    method: str
    path: str  # without the query
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered."""

    status: HTTPStatus
    body: bytes
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self, *, with_body: bool = True) -> bytes:
        """As it goes out; the length is told also where the body is not wanted (HEAD)."""
        more = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\nContent-Type: {self.content_type}\r\n"
            f"Content-Length: {len(self.body)}\r\n{_ALWAYS}{more}\r\n"
        )
        return head.encode("ascii") + (self.body if with_body else b"")


def refusal(status: HTTPStatus, why: str, **headers: str) -> Response:
    """An answer that says why there is no other."""
    return Response(status, f"{why}\n".encode(), headers={k.replace("_", "-"): v for k, v in headers.items()})


def json_response(status: HTTPStatus, values: Mapping[str, object]) -> Response:
    """An answer for programs, readable for people."""
    return Response(status, json.dumps(values, indent=1).encode("ascii") + b"\n", content_type=JSON)


def request_of(head: bytes) -> Request:
    """A request read from everything before its body. Raises `BadRequestError`."""
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or not words[1].startswith("/"):
        raise BadRequestError
    headers: dict[str, str] = {}
    twice: set[str] = set()
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequestError
        name = name.lower()
        if name in headers:
            twice.add(name)
        headers[name] = value.strip()
    return Request(words[0], words[1].partition("?")[0], {k: v for k, v in headers.items() if k not in twice})
