"""Cameras that take the connection and then say nothing, or next to nothing: every phase has its deadline."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import count
from typing import Any

import pytest

from pipeline.config import SourceConfig
from pipeline.errors import NoDecodableFrames, SourceError, SourceUnreachable
from stages.decode import open_source
from tests.cameras import NoKeyframes, SilentAt, StallAfter, numbered_frames, numbered_video
from tests.cameras.http_server import MJPEG, MPEG_TS, HttpCamera, mjpeg_parts, mpegts_parts
from tests.cameras.proxy import FaultProxy, Line
from tests.faults.fixtures import Cameras, Seen
from tests.reading import read_source

TIMEOUT_SECONDS = 0.8
FAR_SECONDS = 60.0  # of the timeout that must not be the one that acts
SPARE_SECONDS = 2.0  # for a machine that is busy with other things
SLOW_LORIS = Line(slice_bytes=1, slice_seconds=0.5)


def timed_fault(url: str, **settings: Any) -> tuple[SourceError, float]:
    """The fault of opening or reading, and after how many seconds it came."""
    started = time.monotonic()
    try:
        fault = read_source(url, **settings).fault
    except SourceError as exc:
        fault = exc
    assert fault is not None
    return fault, time.monotonic() - started


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port whose queue is full: the kernel answers no SYN, as a host does that is switched off."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.mark.fault("accepts TCP, then silence", promise="opening ends within its deadline, spent twice at most")
@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
def test_a_camera_that_never_answers(rtsp_camera: Cameras, seen: Seen, method: str) -> None:
    camera = rtsp_camera(behaviour=SilentAt(method))
    fault, took = timed_fault(camera.url, open_timeout_seconds=TIMEOUT_SECONDS, read_timeout_seconds=FAR_SECONDS)
    assert type(fault) is SourceUnreachable
    assert "did not answer within 0.8 s" in str(fault)
    assert took < 2 * TIMEOUT_SECONDS + SPARE_SECONDS
    seen(f"silent at {method}: {type(fault).__name__} after {took:.2f} s of {TIMEOUT_SECONDS} s")


@pytest.mark.fault("accepts TCP, then silence", promise="FAULTED within 10 s with the settings that come")
def test_nothing_needs_to_be_set(rtsp_camera: Cameras, seen: Seen) -> None:
    fault, took = timed_fault(rtsp_camera(behaviour=SilentAt("OPTIONS")).url)
    assert type(fault) is SourceUnreachable
    assert took < 10
    seen(f"by default: {fault.state} after {took:.2f} s")


@pytest.mark.fault("accepts TCP, then silence", promise="opening ends within its deadline, spent twice at most")
def test_opening_may_take_longer_than_a_frame(rtsp_camera: Cameras, seen: Seen) -> None:
    """The limit on reading does not cut opening short, or a silent camera would count as one without video."""
    camera = rtsp_camera(behaviour=SilentAt("DESCRIBE"))
    fault, took = timed_fault(camera.url, open_timeout_seconds=1.5, read_timeout_seconds=0.5)
    assert type(fault) is SourceUnreachable
    assert "did not answer within 1.5 s" in str(fault)
    seen(f"1.5 s for opening, 0.5 s for reading: {fault.state} after {took:.2f} s")


@pytest.mark.fault("a host that answers no SYN", promise="connecting ends within its deadline")
@pytest.mark.parametrize("scheme", ["rtsp", "http", "https"])
def test_connecting_has_a_deadline(deaf_port: int, seen: Seen, scheme: str) -> None:
    url = f"{scheme}://127.0.0.1:{deaf_port}/a"
    fault, took = timed_fault(url, open_timeout_seconds=TIMEOUT_SECONDS, read_timeout_seconds=FAR_SECONDS)
    assert type(fault) is SourceUnreachable
    assert took < 2 * TIMEOUT_SECONDS + SPARE_SECONDS
    seen(f"{scheme}: {type(fault).__name__} after {took:.2f} s of {TIMEOUT_SECONDS} s")


@pytest.mark.fault("slow-loris, 1 byte per 0.5 s", promise="a wall-clock deadline per phase")
@pytest.mark.parametrize("kind", ["rtsp", "http"])
def test_a_byte_now_and_then_does_not_keep_opening_alive(rtsp_camera: Cameras, seen: Seen, kind: str) -> None:
    with HttpCamera(mjpeg_parts(numbered_frames(5, 320, 240)), content_type=MJPEG) as http:
        url = http.url if kind == "http" else rtsp_camera().url
        with FaultProxy(int(url.split(":")[2].partition("/")[0]), SLOW_LORIS) as line:
            fault, took = timed_fault(
                line.through(url), open_timeout_seconds=TIMEOUT_SECONDS, read_timeout_seconds=FAR_SECONDS
            )
    assert type(fault) is SourceUnreachable
    assert took < 2 * TIMEOUT_SECONDS + SPARE_SECONDS
    seen(f"{kind}, opening: {type(fault).__name__} after {took:.2f} s of {TIMEOUT_SECONDS} s")


@pytest.mark.fault("slow-loris, 1 byte per 0.5 s", promise="a wall-clock deadline per phase")
def test_a_byte_now_and_then_is_no_video(rtsp_camera: Cameras, seen: Seen) -> None:
    camera = rtsp_camera(numbered_video(200))
    with FaultProxy(camera.port) as line:
        fault, waited = read_slowly(line.through(camera.url), line)
    assert type(fault) is SourceUnreachable
    assert waited < TIMEOUT_SECONDS + SPARE_SECONDS
    seen(f"rtsp, reading: {type(fault).__name__} {waited:.2f} s after the last frame, of {TIMEOUT_SECONDS} s allowed")


def read_slowly(url: str, line: FaultProxy) -> tuple[SourceError, float]:
    """Read some frames, make the line slow, read on: the fault, and how long after the last frame it came."""
    source = SourceConfig(url=url, source_id="cam", read_timeout_seconds=TIMEOUT_SECONDS)
    with closing(open_source(source, next_epoch=count(1).__next__)) as reader:
        last = 0.0
        try:
            for frame in reader:
                if frame.seq == 5:
                    line.set(SLOW_LORIS)
                last = time.monotonic()
        except SourceError as exc:
            return exc, time.monotonic() - last
    raise AssertionError("a live source does not end")


@pytest.mark.fault("media stops, TCP and RTCP go on", promise="a watchdog on decoded video; RTCP never feeds it")
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_reports_are_no_sign_of_life(rtsp_camera: Cameras, seen: Seen, transport: str) -> None:
    """The camera reports every second, which is oftener than the timeout."""
    camera = rtsp_camera(numbered_video(30, fps=100), behaviour=StallAfter(12))
    fault, took = timed_fault(
        camera.url, transport=transport, read_timeout_seconds=2.5, open_timeout_seconds=FAR_SECONDS
    )
    assert type(fault) is SourceUnreachable
    assert "after 12 frames" in str(fault)
    assert took < 2.5 + SPARE_SECONDS + 1
    seen(f"{transport}: {fault.state} {took:.2f} s after opening, of 2.5 s allowed without a picture")


@pytest.mark.fault("media stops, sound goes on", promise="a watchdog on decoded video; sound never feeds it")
def test_sound_is_no_sign_of_life(seen: Seen) -> None:
    pictures = numbered_frames(20, 320, 240)
    with HttpCamera(mpegts_parts(pictures, sound_after_seconds=30), content_type=MPEG_TS) as camera:
        fault, took = timed_fault(camera.url, read_timeout_seconds=1.5, open_timeout_seconds=10)
    assert type(fault) is SourceUnreachable
    assert "sent no picture for" in str(fault)
    assert took < 15
    seen(f"MPEG-TS with sound that goes on for 30 s: {fault.state} after {took:.1f} s")


@pytest.mark.fault("opened, no keyframe ever", promise="no first frame in time is NO_DECODABLE_FRAMES")
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_no_keyframe(rtsp_camera: Cameras, seen: Seen, transport: str) -> None:
    camera = rtsp_camera(numbered_video(30, fps=50), behaviour=NoKeyframes())
    fault, took = timed_fault(
        camera.url, transport=transport, read_timeout_seconds=TIMEOUT_SECONDS, open_timeout_seconds=FAR_SECONDS
    )
    assert type(fault) is NoDecodableFrames
    assert "it may send no keyframe" in str(fault)
    assert took < TIMEOUT_SECONDS + SPARE_SECONDS
    seen(f"{transport}: {fault.state} after {took:.2f} s of {TIMEOUT_SECONDS} s, while packets kept coming")


@pytest.mark.fault("opened, no media ever", promise="no first frame in time is NO_DECODABLE_FRAMES")
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_no_media(rtsp_camera: Cameras, seen: Seen, transport: str) -> None:
    camera = rtsp_camera(behaviour=StallAfter(0))
    fault, took = timed_fault(
        camera.url, transport=transport, read_timeout_seconds=TIMEOUT_SECONDS, open_timeout_seconds=TIMEOUT_SECONDS
    )
    assert type(fault) is NoDecodableFrames
    assert took < 2 * TIMEOUT_SECONDS + SPARE_SECONDS  # FFmpeg looks for a first packet while it still opens
    seen(f"{transport}: {fault.state} after {took:.2f} s of {TIMEOUT_SECONDS} s each for opening and for reading")
