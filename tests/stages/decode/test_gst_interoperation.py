"""The same RTSP client against a server that is not ours: gst-rtsp-server."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.errors import SourceNotFound, SourceUnauthorized
from tests.cameras import numbered_frames, read_number
from tests.cameras.files import write_video
from tests.cameras.gst_camera import GstCamera
from tests.reading import read_source

pytestmark = pytest.mark.rtsp

Cameras = Callable[..., GstCamera]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.mp4", numbered_frames(40, 320, 240), fps=50)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_every_frame_of_gst_rtsp_server(gst_camera: Cameras, clip: Path, transport: str) -> None:
    camera = gst_camera(clip, user="admin", password="c@nary/:")
    reading = read_source(camera.url, transport=transport)
    numbers = [read_number(frame.surface.planes[0]) for frame in reading.frames]
    assert numbers == list(range(len(numbers)))
    # Over UDP the server's goodbye, which goes over TCP, may overtake its last packets.
    assert len(numbers) == 40 or (transport == "udp" and len(numbers) >= 37)
    assert {frame.clock for frame in reading.frames} <= {"pts", "rtcp"}


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_the_reports_of_gst_rtsp_server_are_believed(gst_camera: Cameras, tmp_path: Path, transport: str) -> None:
    """The first comes within about three seconds."""
    clip = write_video(tmp_path / "long.mp4", numbered_frames(130, 160, 96), fps=25)
    frames = read_source(gst_camera(clip).url, transport=transport, max_frames=120).frames
    change = next(index for index, frame in enumerate(frames) if frame.clock == "rtcp")
    assert [index for index, frame in enumerate(frames) if frame.discontinuity] == [change]
    assert {frame.clock for frame in frames[change:]} == {"rtcp"}
    assert {frame.epoch for frame in frames} == {1}
    assert all(10 <= (b.capture_time_ns - a.capture_time_ns) / 1e6 <= 70 for a, b in pairwise(frames[5:]))


def test_gst_rtsp_server_refuses(gst_camera: Cameras, clip: Path) -> None:
    camera = gst_camera(clip, user="admin", password="canary")
    with pytest.raises(SourceUnauthorized, match="check both"):
        read_source(camera.url.replace("canary", "wrong"))
    with pytest.raises(SourceUnauthorized, match="none is in the address"):
        read_source(camera.url.replace("admin:canary@", ""))
    with pytest.raises(SourceNotFound):
        read_source(camera.url.replace("/stream", "/other"))
