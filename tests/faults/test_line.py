"""A good camera behind a bad line: delay, a narrow line, a reset, a slow close, bytes in slices, a limit, no power."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count

import pytest

from pipeline.config import SourceConfig
from pipeline.errors import NoDecodableFrames, SourceError, SourceUnreachable
from pipeline.messages import Frame
from stages.decode import open_source
from tests.cameras import HangUpAfter, numbered_video, read_number
from tests.cameras.proxy import FaultProxy, Line
from tests.faults.fixtures import Cameras, Seen

READ_SECONDS = 1.5
SPARE_SECONDS = 2.0
HARMLESS = {
    "0.3 s of latency": Line(latency_seconds=0.3),
    "slices of 7 bytes": Line(slice_bytes=7),
    "1 MB a second": Line(bytes_a_second=1e6),
}
CUTS: dict[str, Callable[[FaultProxy], None]] = {
    "reset": FaultProxy.reset,
    "down": FaultProxy.down,
    "silence": lambda proxy: proxy.set(Line(silent=True)),
    "100 bytes a second": lambda proxy: proxy.set(Line(bytes_a_second=100)),
}


class Reading:
    """Frames as they come, with the fault at the end and when it came."""

    def __init__(self, url: str) -> None:
        source = SourceConfig(
            url=url, source_id="cam", open_timeout_seconds=10, read_timeout_seconds=READ_SECONDS, transport="tcp"
        )
        self.fault: SourceError | None = None
        self._reader = open_source(source, next_epoch=count(1).__next__)

    def frames(self) -> Iterator[Frame]:
        with closing(self._reader):
            try:
                yield from self._reader
            except SourceError as exc:
                self.fault = exc


@pytest.fixture
def line(rtsp_camera: Cameras) -> Iterator[tuple[FaultProxy, str]]:
    """A line to a good camera, and the address by way of it."""
    camera = rtsp_camera(numbered_video(100, fps=50))
    with FaultProxy(camera.port) as proxy:
        yield proxy, proxy.through(camera.url)


@pytest.mark.fault("a slow or narrow line", promise="every frame, in order")
@pytest.mark.parametrize("name", HARMLESS)
def test_what_harms_nothing(line: tuple[FaultProxy, str], seen: Seen, name: str) -> None:
    proxy, url = line
    proxy.set(HARMLESS[name])
    numbers = []
    for frame in Reading(url).frames():
        numbers.append(read_number(frame.surface.planes[0]))
        if len(numbers) == 60:
            break
    assert numbers == list(range(60))
    seen(f"{name}: 60 of 60 frames")


@pytest.mark.fault("the line breaks", promise="a typed error within the read timeout, whatever the break")
@pytest.mark.parametrize("name", CUTS)
def test_what_ends_a_session(line: tuple[FaultProxy, str], seen: Seen, name: str) -> None:
    proxy, url = line
    reading = Reading(url)
    cut_at = 0.0
    for frame in reading.frames():
        if frame.seq == 20:
            CUTS[name](proxy)
            cut_at = time.monotonic()
    took = time.monotonic() - cut_at
    assert isinstance(reading.fault, SourceUnreachable)
    assert took < READ_SECONDS + SPARE_SECONDS
    seen(f"{name}: {reading.fault.state} after {took:.2f} s of {READ_SECONDS} s")


@pytest.mark.fault("the line breaks", promise="a typed error within the read timeout, whatever the break")
@pytest.mark.parametrize("limit_bytes", [1, 200, 900])
def test_a_line_that_ends_while_opening(line: tuple[FaultProxy, str], seen: Seen, limit_bytes: int) -> None:
    """Within the answer to OPTIONS, to DESCRIBE, to what follows."""
    proxy, url = line
    proxy.set(Line(limit_bytes=limit_bytes))
    started = time.monotonic()
    fault: SourceError | None = None
    try:
        reading = Reading(url)
        assert list(reading.frames()) == []
        fault = reading.fault
    except SourceError as exc:
        fault = exc
    took = time.monotonic() - started
    assert type(fault) in (SourceUnreachable, NoDecodableFrames)  # states after which it is soon tried again
    assert took < 10 + SPARE_SECONDS
    seen(f"cut after {limit_bytes} bytes: {type(fault).__name__} after {took:.2f} s")


@pytest.mark.fault("the line breaks", promise="a typed error within the read timeout, whatever the break")
def test_a_slow_close(rtsp_camera: Cameras, seen: Seen) -> None:
    """The camera hangs up, and its reader is told only much later."""
    camera = rtsp_camera(numbered_video(100, fps=50), behaviour=HangUpAfter(20))
    with FaultProxy(camera.port, Line(close_seconds=30)) as proxy:
        reading = Reading(proxy.through(camera.url))
        frames = list(reading.frames())
        waited = time.monotonic() - frames[-2].arrival_monotonic_ns / 1e9
    assert isinstance(reading.fault, SourceUnreachable)
    assert waited < READ_SECONDS + SPARE_SECONDS
    seen(f"{reading.fault.state} {waited:.2f} s after the camera was gone")
