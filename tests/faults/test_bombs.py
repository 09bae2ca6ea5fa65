"""A few kilobytes that stand for gigabytes: refused before the memory is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from tests.cameras import ChangeVideo, RtspCamera, encode_h264, numbered_video
from tests.cameras.h264 import H264Video
from tests.faults.fixtures import Cameras, Seen

SIDE = 8192  # 67 million pixels, of which 35 million are taken by default: 100 MB a picture as decoded
ALLOWED_MB = 60

# In a process of its own, which has asked for no more memory before than a small video takes.
READ = """
import resource, sys
from pipeline.errors import SourceError
from tests.reading import read_source

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

read_source(sys.argv[1])
before = peak_mb()
try:
    reading = read_source(sys.argv[2], read_timeout_seconds=2)
    what = f"{len(reading.frames)} frames, {reading.undecoded} undecoded, {type(reading.fault).__name__}"
except SourceError as exc:
    what = f"{type(exc).__name__}"
print(round(peak_mb() - before), what)
"""


@pytest.fixture(scope="module")
def bomb() -> H264Video:
    """Two black pictures of 8192x8192."""
    return encode_h264(np.zeros((2, SIDE, SIDE, 3), np.uint8))


def annex_b(video: H264Video) -> bytes:
    return b"".join(b"\x00\x00\x00\x01" + nal for unit in video.units for nal in unit.nals)


def read_apart(small: Path, url: str) -> tuple[int, str]:
    """How many MB more reading took at its height, and what came of it."""
    command = [sys.executable, "-c", READ, str(small), url]
    root = Path(__file__).parents[2]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=True)
    grown, _, what = run.stdout.strip().partition(" ")
    return int(grown), what


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.h264"
    path.write_bytes(annex_b(numbered_video(10, 320, 240)))
    return path


@pytest.mark.fault("pixel bomb", promise="refused before allocation")
def test_in_a_file(tmp_path: Path, small: Path, bomb: H264Video, seen: Seen) -> None:
    path = tmp_path / "bomb.h264"
    path.write_bytes(annex_b(bomb))
    grown, what = read_apart(small, str(path))
    assert what == "SourceUnsupported"
    assert grown < ALLOWED_MB
    seen(f"{path.stat().st_size // 1024} KB of H.264 file: {what}, memory +{grown} MB at its height")


@pytest.mark.fault("pixel bomb", promise="refused before allocation")
def test_hidden_behind_small_pictures(tmp_path: Path, small: Path, bomb: H264Video, seen: Seen) -> None:
    path = tmp_path / "grows.h264"
    path.write_bytes(annex_b(numbered_video(10, 320, 240)) + annex_b(bomb))
    grown, what = read_apart(small, str(path))
    assert what == "10 frames, 2 undecoded, NoneType"
    assert grown < ALLOWED_MB
    seen(f"after 10 small pictures of a file: {what}, memory +{grown} MB")


@pytest.mark.fault("pixel bomb", promise="refused before allocation")
def test_told_by_a_camera(rtsp_camera: Cameras, small: Path, bomb: H264Video, seen: Seen) -> None:
    grown, what = read_apart(small, rtsp_camera(bomb).url)
    assert what in ("SourceUnsupported", "0 frames, 0 undecoded, NoDecodableFrames")
    assert grown < ALLOWED_MB
    seen(f"in the description of a camera: {what}, memory +{grown} MB")


@pytest.mark.fault("pixel bomb", promise="refused before allocation")
def test_sent_by_a_camera_in_mid_stream(rtsp_camera: Cameras, small: Path, bomb: H264Video, seen: Seen) -> None:
    camera: RtspCamera = rtsp_camera(numbered_video(10, 320, 240), behaviour=ChangeVideo(bomb, after_frames=10))
    grown, what = read_apart(small, camera.url)
    assert what.startswith("10 frames,")
    assert what.endswith("SourceUnreachable")
    assert grown < ALLOWED_MB
    seen(f"after 10 small pictures of a camera: {what}, memory +{grown} MB")


@pytest.mark.fault("pixel bomb", promise="refused before allocation")
def test_the_bomb_would_explode(tmp_path: Path, bomb: H264Video, seen: Seen) -> None:
    """What bare PyAV makes of the same file."""
    path = tmp_path / "bomb.h264"
    path.write_bytes(annex_b(bomb))
    with av.open(str(path)) as container:
        sizes = {(frame.width, frame.height) for frame in container.decode(video=0)}
    assert sizes == {(SIDE, SIDE)}
    seen("without the limit FFmpeg decodes 8192x8192 from it")
