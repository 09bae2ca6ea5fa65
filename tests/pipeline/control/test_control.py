"""Speaking to a running pipeline: who may, what is understood, and what a bad client costs."""

from __future__ import annotations

import secrets
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from pipeline.config import SourceConfig
from pipeline.control import client, names
from pipeline.control.names import address_of, derived_name, running
from pipeline.control.protocol import (
    MOST_REQUEST_BYTES,
    AddSource,
    Done,
    ListSources,
    RemoveSource,
    Reply,
    Request,
    read_reply,
    receive,
)
from pipeline.control.server import MOST_CONNECTIONS, ControlServer
from pipeline.errors import LinkError, UsageError, WireError


@pytest.fixture
def name() -> str:
    return f"test-{secrets.token_hex(8)}"


@pytest.fixture
def serve(name: str) -> Iterator[Callable[[Callable[[Request], Reply]], ControlServer]]:
    with ControlServer(name) as server:

        def start(answer: Callable[[Request], Reply]) -> ControlServer:
            server.serve(answer)
            return server

        yield start


Serve = Callable[[Callable[[Request], Reply]], ControlServer]


def connected(name: str) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    channel.connect(address_of(name))
    return channel


def answer_to(channel: socket.socket) -> bytes:
    """What comes; nothing, where the connection ends, with bytes of ours unread or not."""
    channel.settimeout(30)
    try:
        return channel.recv(100)
    except ConnectionResetError:
        return b""


def test_a_request_is_answered(serve: Serve, name: str) -> None:
    asked: list[Request] = []

    def answer(request: Request) -> Reply:
        asked.append(request)
        return Done("door")

    serve(answer)
    request = AddSource(SourceConfig(url="rtsp://192.0.2.1/a", source_id="door", transport="udp"))
    assert client.ask(name, request) == Done("door")
    assert asked == [request]


def test_a_refusal_is_raised_as_the_error_it_is(serve: Serve, name: str) -> None:
    def answer(request: Request) -> Reply:
        raise UsageError("no source is called 'x'")

    serve(answer)
    with pytest.raises(UsageError, match="no source is called 'x'"):
        client.ask(name, RemoveSource("x"))


def test_a_fault_of_ours_is_told_without_its_text(serve: Serve, name: str) -> None:
    def answer(request: Request) -> Reply:
        raise RuntimeError("rtsp://user:secret@host")

    serve(answer)
    with pytest.raises(Exception, match="internal error: RuntimeError") as caught:
        client.ask(name, ListSources())
    assert "secret" not in str(caught.value)


def test_a_pipeline_is_found_by_its_name(serve: Serve, name: str) -> None:
    server = serve(lambda request: Done())
    assert name in running()
    assert client.choose(name) == name
    with pytest.raises(UsageError, match="runs already"):
        ControlServer(name)
    server.close()
    assert name not in running()
    with pytest.raises(UsageError, match=f"no pipeline called '{name}' runs"):
        client.choose(name)


@pytest.mark.parametrize(
    ("there", "message"), [([], "no pipeline of this user runs"), (["a", "b"], "several pipelines run: a, b; choose")]
)
def test_without_a_name_exactly_one_must_run(monkeypatch: pytest.MonkeyPatch, there: list[str], message: str) -> None:
    monkeypatch.setattr(client, "running", lambda: dict.fromkeys(there, ""))
    with pytest.raises(UsageError, match=message):
        client.choose(None)


def test_the_only_one_needs_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "running", lambda: {"only": ""})
    assert client.choose(None) == "only"


def test_another_users_process_is_not_answered(serve: Serve, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(lambda request: Done())
    monkeypatch.setattr("pipeline.control.server.may_ask", lambda channel: False)
    with pytest.raises(LinkError):
        client.ask(name, ListSources(), seconds=10)


def test_somebody_elses_process_under_the_name_is_not_believed(
    serve: Serve, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Request] = []

    def answer(request: Request) -> Reply:
        asked.append(request)
        return Done()

    serve(answer)
    monkeypatch.setattr("pipeline.control.names._uid_of", lambda peer: 4_000_000_000)
    with pytest.raises(LinkError, match="belongs to another user"):
        client.ask(name, ListSources(), seconds=10)
    assert asked == []


def test_a_user_sees_own_pipelines_and_root_sees_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_listening", lambda: {(0, "a"), (7, "a"), (7, "b"), (8, "c")})
    monkeypatch.setattr("pipeline.control.names.os.getuid", lambda: 7)
    assert list(running()) == ["a", "b"]
    monkeypatch.setattr("pipeline.control.names.os.getuid", lambda: 0)
    assert {name: address.rpartition("control/")[2] for name, address in running().items()} == {
        "a": "0/a",
        "7/a": "7/a",
        "b": "7/b",
        "c": "8/c",
    }


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<I", MOST_REQUEST_BYTES + 1),
        struct.pack("<I", 0xFFFFFFFF) + b"x",
        b"\x01",
        b"",
        struct.pack("<I", 5) + b"ab",
    ],
    ids=["too long", "far too long", "half a length", "nothing", "half a message"],
)
def test_what_is_no_request_ends_its_connection_and_no_other(serve: Serve, name: str, data: bytes) -> None:
    serve(lambda request: Done("fine"))
    with connected(name) as channel:
        channel.sendall(data)
        channel.shutdown(socket.SHUT_WR)
        assert answer_to(channel) == b""
    assert client.ask(name, ListSources()) == Done("fine")


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1\xc1\xc1",
        b"\x82\xa4type\xa6remove\xa9source_id\xa2\xff\xfe",
        b"\x82\xa4type\xa4list\xa1x" + b"\x91" * 5000,
    ],
    ids=["no msgpack", "no UTF-8", "deep"],
)
def test_bytes_that_are_no_request_are_refused(serve: Serve, name: str, data: bytes) -> None:
    serve(lambda request: Done())
    with connected(name) as channel:
        channel.sendall(struct.pack("<I", len(data)) + data)
        reply = read_reply(receive(channel, most_bytes=1000, seconds=30))
    assert "not understood" in str(reply)


def test_silent_clients_leave_room_for_others_and_do_not_delay_the_end(name: str) -> None:
    with ControlServer(name) as server:
        server.serve(lambda request: Done("fine"))
        silent = [connected(name) for _ in range(MOST_CONNECTIONS - 1)]
        assert client.ask(name, ListSources()) == Done("fine")
    for channel in silent:
        assert answer_to(channel) == b""
        channel.close()


def test_a_message_that_never_becomes_whole_ends_in_time() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(struct.pack("<I", 100) + b"only this")
        with pytest.raises(WireError):
            receive(ours, most_bytes=1000, seconds=0.05)


def test_requests_are_answered_side_by_side(serve: Serve, name: str) -> None:
    both = threading.Barrier(2, timeout=30)

    def answer(request: Request) -> Reply:
        both.wait()
        return Done("met")

    serve(answer)
    replies: list[Reply] = []
    clients = [threading.Thread(target=lambda: replies.append(client.ask(name, ListSources()))) for _ in range(2)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join(60)
    assert replies == [Done("met"), Done("met")]


@pytest.mark.parametrize(
    ("config_file", "first", "expected"),
    [("/etc/everyframe/site one.yaml", "door", "site-one"), (None, "door", "door"), ("-.yaml", "x", "everyframe")],
)
def test_a_pipeline_without_a_name_is_called_by_rule(config_file: str | None, first: str, expected: str) -> None:
    assert derived_name(config_file, first) == expected
