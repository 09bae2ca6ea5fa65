"""A head of HTTP, as it comes in for health and metrics: `BadRequestError`, or a request that is let in or refused.

Without a token only who names this machine is let in; with one, only who shows it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import suppress

from pipeline.api.exchange import BadRequestError, Request, request_of
from pipeline.api.guard import Guard
from pipeline.bind import bind_of
from pipeline.errors import ConfigError

TOKEN = "0123456789abcdef"


def one_input(data: bytes) -> None:
    """The bytes as a head, and as an address to listen on."""
    _listen(data.decode("utf-8", "surrogateescape"))
    try:
        request = request_of(data)
    except BadRequestError:
        return
    let_in = _answer(Guard(None), request)
    assert not let_in or _names_this_machine(request.headers.get("host", ""))
    assert not _answer(Guard(TOKEN), request) or TOKEN.encode() in data


def _answer(guard: Guard, request: Request) -> bool:
    """Whether it is let in; a refusal can be sent."""
    refusal = guard.refuse(request)
    if refusal is not None:
        assert refusal.encode().startswith(b"HTTP/1.1 4")
    return refusal is None


def _names_this_machine(host: str) -> bool:
    """Told anew: with or without a port, `localhost`, a loopback address, or nothing."""
    for name in (host, host.rpartition(":")[0]):
        if name in ("", "localhost"):
            return True
        with suppress(ValueError):
            return ipaddress.ip_address(name.strip("[]")).is_loopback
    return False


def _listen(text: str) -> None:
    with suppress(ConfigError):
        bind = bind_of(text)
        assert bind_of(str(bind)) == bind


def seeds() -> Iterator[bytes]:
    """Requests as programs and browsers send them; addresses."""
    yield b"GET /healthz HTTP/1.1\r\nHost: localhost:9560\r\nAccept: */*\r\n\r\n"
    yield b"HEAD /metrics?x=1 HTTP/1.0\r\n\r\n"
    yield b"GET /metrics HTTP/1.1\r\nHost: [::1]\r\nAuthorization: Bearer 0123456789abcdef\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\n\r\n"
    yield from (b"127.0.0.1:9560", b"[::1]:0", b"localhost:1", b"0.0.0.0:65535")
