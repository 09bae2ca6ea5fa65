"""The bad line between a camera and its reader: each fault is what it says, and it leaves nothing behind."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.cameras.proxy import FaultProxy, Line

HELLO = bytes(range(256)) * 40


@pytest.fixture
def greeter() -> Iterator[int]:
    """Says hello to everybody who connects and hangs up when spoken to; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client, suppress(ConnectionResetError):
                    client.sendall(HELLO)
                    client.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def hear(client: socket.socket, count: int) -> bytes:
    heard = b""
    while len(heard) < count and (data := client.recv(count - len(heard))):
        heard += data
    return heard


def time_to_hear(proxy: FaultProxy, count: int = len(HELLO)) -> float:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        started = time.monotonic()
        assert hear(client, count) == HELLO[:count]
        return time.monotonic() - started


@pytest.mark.parametrize(
    ("line", "least_seconds"),
    [
        (Line(), 0.0),
        (Line(latency_seconds=0.3), 0.3),
        (Line(bytes_a_second=len(HELLO) / 0.4), 0.3),
        (Line(slice_bytes=len(HELLO) // 10, slice_seconds=0.03), 0.27),
    ],
)
def test_everything_comes_in_its_time(greeter: int, line: Line, least_seconds: float) -> None:
    with FaultProxy(greeter, line) as proxy:
        assert time_to_hear(proxy) >= least_seconds


def test_a_limit_ends_the_connection(greeter: int) -> None:
    with (
        FaultProxy(greeter, Line(limit_bytes=100)) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client,
    ):
        assert hear(client, 1000) == HELLO[:100]


def test_silence_ends_when_the_line_is_good_again(greeter: int) -> None:
    with (
        FaultProxy(greeter, Line(silent=True)) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), timeout=0.3) as client,
    ):
        with pytest.raises(TimeoutError):
            client.recv(1)
        proxy.set(Line())
        client.settimeout(10)
        assert hear(client, len(HELLO)) == HELLO


def test_a_slow_close(greeter: int) -> None:
    with (
        FaultProxy(greeter, Line(close_seconds=0.3)) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client,
    ):
        hear(client, len(HELLO))
        started = time.monotonic()
        client.send(b"x")
        assert client.recv(1) == b""
        assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize("cut", [FaultProxy.reset, FaultProxy.down])
def test_a_reset_is_a_reset(greeter: int, cut: Callable[[FaultProxy], None]) -> None:
    with (
        FaultProxy(greeter) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client,
    ):
        hear(client, len(HELLO))
        cut(proxy)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_down_and_up_again_on_the_same_port(greeter: int) -> None:
    with FaultProxy(greeter) as proxy:
        port = proxy.port
        proxy.down()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=10)
        proxy.up()
        assert proxy.port == port
        assert time_to_hear(proxy) < 10


def test_it_leaves_nothing_behind(greeter: int) -> None:
    before = threading.active_count()
    with FaultProxy(greeter) as proxy:
        client = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
        assert hear(client, 10) == HELLO[:10]
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    client.close()
