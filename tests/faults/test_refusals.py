"""Cameras that refuse: a typed error that holds no password, and at most one try a minute."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote

import av.error
import pytest

from pipeline.config import SourceConfig
from pipeline.errors import (
    NoDecodableFrames,
    SourceError,
    SourceNotFound,
    SourceUnauthorized,
    SourceUnreachable,
    SourceUnsupported,
)
from pipeline.retry import Backoff
from pipeline.states import SourceState
from stages.decode.faults import opening_fault
from tests.cameras import (
    Answer,
    Behaviour,
    HangUpAfter,
    RefuseCredentials,
    numbered_video,
)
from tests.faults.fixtures import Cameras, Seen
from tests.reading import chained_texts, read_source

USER, PASSWORD = "canary.user", "c@n:ary/w%rd"
TIMEOUT_SECONDS = 2.0

REFUSALS: dict[str, tuple[Behaviour, type[SourceError], str]] = {
    "401": (RefuseCredentials(), SourceUnauthorized, "refused the user or the password (401)"),
    "403": (Answer(403), SourceUnauthorized, "forbids this user to see the stream (403)"),
    "404": (Answer(404), SourceNotFound, "knows no such stream (404)"),
    "400": (Answer(400), SourceUnsupported, "calls the request bad (400)"),
    "453": (Answer(453, method="PLAY"), SourceUnreachable, "refused the request (4xx)"),
    "503": (Answer(503), SourceUnreachable, "failed inside (5xx)"),
    "461": (Answer(461, method="SETUP"), SourceUnsupported, "try transport: "),
    "hangs up at once": (HangUpAfter(0), NoDecodableFrames, "hung up before the first frame"),
    "hangs up later": (HangUpAfter(12), SourceUnreachable, "closed the connection after 12 frames"),
}


def fault_of(url: str, **settings: object) -> SourceError:
    """The fault of opening or of reading, with nothing in it that is nobody's business."""
    timeouts = {"open_timeout_seconds": TIMEOUT_SECONDS, "read_timeout_seconds": TIMEOUT_SECONDS}
    try:
        fault = read_source(url, **{**timeouts, **settings}).fault
    except SourceError as exc:
        fault = exc
    assert fault is not None
    assert not [text for text in chained_texts(fault) for part in ("canary", "ary/w", "ary%2Fw") if part in text]
    return fault


@pytest.mark.fault("401, 404, TLS refused", promise="typed state, message without the password")
@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("name", REFUSALS)
def test_a_camera_that_refuses(rtsp_camera: Cameras, seen: Seen, name: str, transport: str) -> None:
    behaviour, kind, text = REFUSALS[name]
    camera = rtsp_camera(numbered_video(30, fps=100), user=USER, password=PASSWORD, behaviour=behaviour)
    fault = fault_of(camera.url, transport=transport)
    assert type(fault) is kind
    assert text in str(fault)
    assert f"cam: rtsp://***@127.0.0.1:{camera.port}/stream" in str(fault)
    seen(f"{name}, {transport}: {fault.state}")


@pytest.mark.fault("401, 404, TLS refused", promise="one try is one login")
def test_a_try_is_one_login(rtsp_camera: Cameras, seen: Seen) -> None:
    """Digest needs a first request without credentials; a second one with them would count as another wrong login."""
    camera = rtsp_camera(user="admin", password="right")
    fault = fault_of(camera.url_of("/stream", user="admin", password="canary"))
    assert type(fault) is SourceUnauthorized
    assert (camera.statistics.connections, camera.statistics.requests["DESCRIBE"]) == (1, 2)
    seen("1 connection, 2 DESCRIBE: the challenge and one answer")


@pytest.mark.fault("401, 404, TLS refused", promise="at most one try a minute, however often it failed")
@pytest.mark.parametrize("state", [SourceState.UNAUTHORIZED, SourceState.NOT_FOUND, SourceState.UNSUPPORTED])
def test_at_most_one_try_a_minute(seen: Seen, state: SourceState) -> None:
    backoff = Backoff(first_seconds=1, most_seconds=60, refused_seconds=60, chance=random.Random(0).random)
    waits = [backoff.delay_seconds(state) for _ in range(1000)]
    assert min(waits) >= 60
    seen(f"{state}: the shortest of 1000 waits is {min(waits):g} s")


@pytest.fixture
def no_tls() -> Iterator[int]:
    """Hangs up on everybody who says hello; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client, suppress(OSError):
                        client.recv(100)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.fault("401, 404, TLS refused", promise="typed state, message without the password")
@pytest.mark.parametrize("scheme", ["rtsps", "https"])
def test_no_tls_to_be_had(no_tls: int, seen: Seen, scheme: str) -> None:
    fault = fault_of(f"{scheme}://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{no_tls}/stream")
    assert type(fault) is SourceUnsupported
    assert "speaks no TLS that can be agreed upon" in str(fault)
    seen(f"{scheme} to a port without TLS: {fault.state}")


LIES = (
    av.error.InvalidDataError,
    av.error.ExitError,
    av.error.TimeoutError,
    av.error.OSError,
    av.error.PermissionError,
    av.error.EOFError,
    av.error.ArgumentError,
)


@pytest.mark.fault("error classes lie", promise="classified by phase and clock, never by message text")
@pytest.mark.parametrize("kind", LIES, ids=lambda kind: kind.__name__)
def test_a_timeout_is_a_timeout_whatever_it_is_called(seen: Seen, kind: type[av.error.FFmpegError]) -> None:
    source = SourceConfig(url="rtsp://127.0.0.1:1/a", source_id="cam", open_timeout_seconds=4)
    error = kind(1, "404 Not Found: 401 Unauthorized", source.url)
    given = {"source": source, "address": source.url, "allowed_seconds": 4.0}
    late = opening_fault(error, elapsed_seconds=4.0, **given)
    assert type(late) is SourceUnreachable
    assert "did not answer within 4 s" in str(late)
    early = opening_fault(error, elapsed_seconds=0.1, **given)
    assert type(early) is SourceUnreachable
    seen(f"{kind.__name__}: {late.state} after the deadline; {type(early).__name__} before")


@pytest.mark.fault("refuses the connection", promise="FAULTED at once, without the password")
@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "http", "https"])
def test_a_port_that_nobody_listens_on(seen: Seen, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    started = time.monotonic()
    fault = fault_of(f"{scheme}://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/a")
    took = time.monotonic() - started
    assert type(fault) is SourceUnreachable
    assert "refused the connection; check that it is on, and the port" in str(fault)
    seen(f"{scheme}: {fault.state} after {took:.2f} s")
