"""The HTTP server keeps its bounds, whatever a client does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any

import pytest

from pipeline.api.exchange import Request, Response
from pipeline.api.guard import Guard, is_this_machine
from pipeline.api.server import HEAD_BYTES, Server
from pipeline.bind import Bind
from tests.pipeline.api.client import connected, everything, get, parsed, say

TOKEN = "correct-horse-battery"


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers that echo the path asked for, and stops them at the end."""
    with ExitStack() as stack:

        def start(*, token: str | None = None, port: int = 0, answer: Any = None, **limits: Any) -> Server:
            def echo(request: Request) -> Response:
                return Response(HTTPStatus.OK, request.path.encode())

            return stack.enter_context(Server(Bind("127.0.0.1", port), answer or echo, Guard(token), **limits))

        yield start


def test_an_answer_has_its_length_and_closes_the_connection(serve: Callable[..., Server]) -> None:
    status, headers, body = get(serve().address, "/a?b=c")
    assert (status, body) == (200, b"/a")
    assert headers["content-length"] == "2"
    assert headers["connection"] == "close"
    assert headers["cache-control"] == "no-store"


def test_a_head_is_answered_without_a_body(serve: Callable[..., Server]) -> None:
    status, headers, body = say(serve().address, b"HEAD /abc HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (status, headers["content-length"], body) == (200, "4", b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "X" * 200])
def test_other_methods_are_refused_with_those_allowed(serve: Callable[..., Server], method: str) -> None:
    status, headers, _ = say(serve().address, f"{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert (status, headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET http://elsewhere/ HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded: line\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        bytes(range(256)) + b"\r\n\r\n",
    ],
)
def test_what_is_no_request_is_told_so(serve: Callable[..., Server], head: bytes) -> None:
    assert say(serve().address, head)[0] == 400


def test_a_head_that_is_too_large_is_refused_and_the_client_hears_it(serve: Callable[..., Server]) -> None:
    many = b"".join(b"X-%d: %s\r\n" % (i, b"y" * 100) for i in range(HEAD_BYTES // 100 + 1))
    assert say(serve().address, b"GET / HTTP/1.1\r\n" + many + b"\r\n")[0] == 431
    assert say(serve().address, b"GET /" + b"a" * (2 * HEAD_BYTES))[0] == 431


def test_a_body_nobody_asked_for_loses_no_answer(serve: Callable[..., Server]) -> None:
    head = b"GET /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30000\r\n\r\n"
    assert say(serve().address, head + b"z" * 30_000)[0] == 200


def test_a_client_that_says_too_little_is_let_go(serve: Callable[..., Server]) -> None:
    server = serve(exchange_seconds=0.3)
    with connected(server.address) as silent, connected(server.address) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHos")
        assert everything(silent) == b""
        assert everything(slow) == b""
    assert get(server.address, "/still")[0] == 200


def test_a_client_that_does_not_read_is_let_go(serve: Callable[..., Server]) -> None:
    answered = threading.Event()

    def much(request: Request) -> Response:
        answered.set()
        return Response(HTTPStatus.OK, bytes(64 << 20) if request.path == "/much" else b"")

    server = serve(answer=much, exchange_seconds=0.3)
    with connected(server.address) as deaf:
        deaf.sendall(b"GET /much HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answered.wait(60.0)
        assert get(server.address, "/little")[0] == 200
        assert len(everything(deaf)) < 64 << 20


def test_the_oldest_connection_makes_room(serve: Callable[..., Server]) -> None:
    server = serve(most_connections=4, exchange_seconds=600.0)
    with ExitStack() as stack:
        held = [stack.enter_context(connected(server.address)) for _ in range(40)]
        assert get(server.address, "/healthz")[0] == 200
        assert everything(held[0]) == b""
        held[-1].sendall(b"GET /last HTTP/1.1\r\nHost: localhost\r\n\r\n")
        held[-1].shutdown(socket.SHUT_WR)
        assert parsed(everything(held[-1]))[2] == b"/last"


def test_a_fault_in_an_answer_is_told_without_its_text(serve: Callable[..., Server]) -> None:
    def broken(request: Request) -> Response:
        raise ValueError("rtsp://viewer:hunter2hunter2@192.0.2.7/")

    server = serve(answer=broken)
    status, _, body = get(server.address, "/")
    assert (status, body) == (500, b"internal error: ValueError\n")
    assert get(server.address, "/")[0] == 500


def test_a_port_that_is_taken_is_had_once_it_is_free(serve: Callable[..., Server]) -> None:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    server = serve(port=port, bind_seconds=0.05)
    assert f"127.0.0.1:{port} cannot be listened on" in server.fault
    assert server.address == ""
    taken.close()
    for _ in range(600):
        if server.address:
            break
        threading.Event().wait(0.1)
    assert get(server.address, "/now")[2] == b"/now"
    assert server.fault == ""


def test_nothing_is_left_when_it_stops() -> None:
    threads = threading.active_count()
    with Server(Bind("127.0.0.1", 0), lambda request: Response(HTTPStatus.OK, b""), Guard(None)) as server:
        address = server.address
        assert get(address, "/")[0] == 200
        waiting = connected(address)
    with waiting:
        assert everything(waiting) == b""
    assert threading.active_count() == threads
    with pytest.raises(OSError):  # noqa: PT011 - refused, whatever the system calls that
        connected(address)


def test_ipv6_loopback() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    with Server(Bind("::1", 0), lambda request: Response(HTTPStatus.OK, b"6"), Guard(None)) as server:
        assert server.address.startswith("http://[::1]:")
        assert get(server.address, "/", Host="[::1]:9560")[2] == b"6"


@pytest.mark.parametrize("shown", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xe9"])
def test_without_the_token_nothing_is_answered(serve: Callable[..., Server], shown: str) -> None:
    server = serve(token=TOKEN)
    status, headers, body = get(server.address, "/metrics", **({"Authorization": shown} if shown else {}))
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert TOKEN.encode() not in body


def test_with_the_token_it_is_and_under_any_name(serve: Callable[..., Server]) -> None:
    server = serve(token=TOKEN)
    assert get(server.address, "/a", Host="cameras.example", Authorization=f"bearer {TOKEN}")[0] == 200
    twice = f"GET / HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    assert say(server.address, twice.encode())[0] == 401


def test_a_name_that_resolves_to_this_machine_is_not_this_machine(serve: Callable[..., Server]) -> None:
    server = serve()
    assert get(server.address, "/a", Host="attacker.example:9560")[0] == 403
    assert say(server.address, b"GET /a HTTP/1.0\r\n\r\n")[0] == 200


@pytest.mark.parametrize(
    "host", ["", "localhost", "localhost:9560", "127.0.0.1", "127.0.0.2:80", "[::1]", "[::1]:9560"]
)
def test_names_of_this_machine(host: str) -> None:
    assert is_this_machine(host)


@pytest.mark.parametrize(
    "host", ["example", "localhost.example", "192.0.2.7", "192.0.2.7:9560", "[2001:db8::1]:1", "::"]
)
def test_names_of_others(host: str) -> None:
    assert not is_this_machine(host)
