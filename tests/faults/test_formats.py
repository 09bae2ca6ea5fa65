"""Pictures of every kind that a camera or a recorder makes: each is right, read by the number it carries."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from tests.cameras import numbered_frames, read_number
from tests.cameras.files import write_video
from tests.faults.fixtures import Seen
from tests.reading import Reading, read_source

CASE = "10-bit, 4:2:2, 4:4:4, gray, odd sizes, interlaced, rotated, VFR"
FRAMES = 12
INTERLACED = {"x264-params": "tff=1:interlaced=1"}

# name: (codec, pixel format, size, options)
KINDS: dict[str, tuple[str, str, tuple[int, int], dict[str, str]]] = {
    "10-bit H.264": ("libx264", "yuv420p10le", (320, 240), {}),
    "10-bit H.265": ("libx265", "yuv420p10le", (320, 240), {"x265-params": "log-level=none"}),
    "12-bit H.265": ("libx265", "yuv420p12le", (320, 240), {"x265-params": "log-level=none"}),
    "4:2:2": ("libx264", "yuv422p", (320, 240), {}),
    "4:4:4": ("libx264", "yuv444p", (320, 240), {}),
    "10-bit 4:4:4": ("libx264", "yuv444p10le", (320, 240), {}),
    "gray": ("libx264", "gray", (320, 240), {}),
    "gray MJPEG range": ("mjpeg", "yuvj420p", (320, 240), {}),
    "odd 4:4:4": ("libx264", "yuv444p", (321, 241), {}),
    "odd 4:2:0": ("ffv1", "yuv420p", (321, 241), {}),
    "interlaced": ("libx264", "yuv420p", (320, 240), INTERLACED),
    "VP9": ("libvpx-vp9", "yuv420p", (320, 240), {"deadline": "realtime", "cpu-used": "8"}),
    "AV1": ("libsvtav1", "yuv420p", (320, 240), {"preset": "12", "svtav1-params": "lp=1"}),
}


def numbers_of(reading: Reading) -> list[int | None]:
    return [read_number(frame.surface.planes[0]) for frame in reading.frames]


def written(path: Path, name: str) -> Path:
    codec, pixel_format, size, options = KINDS[name]
    settings: dict[str, Any] = {"codec": codec, "pixel_format": pixel_format, "options": options}
    with ThreadPoolExecutor(1) as thread:
        # libsvtav1 gives the thread that opens it real-time priority, where it may. Ours would keep it, and whatever is
        # started afterwards would have it too, and starve the machine.
        return thread.submit(write_video, path / "clip.mkv", numbered_frames(FRAMES, *size), **settings).result()


@pytest.mark.fault(CASE, promise="the right picture")
@pytest.mark.parametrize("name", KINDS)
def test_pictures_of_every_kind(tmp_path: Path, seen: Seen, name: str) -> None:
    reading = read_source(written(tmp_path, name))
    assert numbers_of(reading) == list(range(FRAMES))
    assert reading.undecoded == reading.damaged == 0
    size = KINDS[name][2]
    assert {(frame.width, frame.height) for frame in reading.frames} == {size}
    seen(f"{name}: {FRAMES} of {FRAMES} right, as {reading.frames[0].surface.format}")


@pytest.mark.fault(CASE, promise="the right picture")
def test_interlaced_is_told(tmp_path: Path, seen: Seen) -> None:
    """The clip of the test above is what its name says."""
    with av.open(str(written(tmp_path, "interlaced"))) as container:
        fields = [frame.interlaced_frame for frame in container.decode(video=0)]
    assert all(fields)
    seen(f"{len(fields)} interlaced pictures")


@pytest.mark.fault(CASE, promise="the right picture, upright")
@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotated(tmp_path: Path, seen: Seen, rotation: int) -> None:
    """The container says by how much; what is handed out stands upright, with its sides exchanged."""
    import numpy as np

    turns = rotation // 90
    lying = [np.ascontiguousarray(np.rot90(picture, -turns)) for picture in numbered_frames(FRAMES, 320, 240)]
    path = write_video(tmp_path / "turned.mp4", lying, rotation=rotation)
    reading = read_source(path)
    assert numbers_of(reading) == list(range(FRAMES))
    assert {(frame.width, frame.height) for frame in reading.frames} == {(320, 240)}
    seen(f"rotated by {rotation}: {FRAMES} of {FRAMES} right, 320x240")


@pytest.mark.fault(CASE, promise="times as recorded")
def test_vfr(tmp_path: Path, seen: Seen) -> None:
    at_ms = [0, 40, 45, 500, 1500, 1501]
    path = tmp_path / "uneven.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number, picture in enumerate(numbered_frames(6, 320, 240)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = at_ms[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    reading = read_source(path)
    assert [frame.capture_time_ns // 1_000_000 for frame in reading.frames] == at_ms
    seen(f"frames at {at_ms} ms")
