"""Files that are no video, or no longer whole: a typed error that names the file, or the frames there are, counted."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.errors import NoDecodableFrames, SourceUnsupported
from tests.cameras import numbered_frames, read_number
from tests.cameras.files import write_video
from tests.faults.fixtures import Seen
from tests.reading import read_source

BROKEN = "zero bytes, half an MP4, no video stream, moov missing"
NAMED = "a typed error that names the file"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """40 numbered frames; the index stands before the pictures, so that half of the file can still be read."""
    return write_video(
        tmp_path / "clip.mp4", numbered_frames(40, 320, 240), container_options={"movflags": "faststart"}
    )


def refused(path: Path, match: str) -> str:
    with pytest.raises(SourceUnsupported, match=match) as caught:
        read_source(path)
    assert path.name in str(caught.value)
    return f"{caught.value.state}: {str(caught.value).rpartition('/')[2]}"


@pytest.mark.fault(BROKEN, promise=NAMED)
def test_zero_bytes(tmp_path: Path, seen: Seen) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    seen(refused(path, r"empty\.mp4 is empty"))


@pytest.mark.fault(BROKEN, promise=NAMED)
def test_sound_only(tmp_path: Path, seen: Seen) -> None:
    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 44_100
        container.mux(stream.encode(samples))
        container.mux(stream.encode(None))
    seen(refused(path, r"sound\.m4a holds no video \(only audio\)"))


@pytest.mark.fault(BROKEN, promise=NAMED)
def test_an_mp4_without_its_index(clip: Path, seen: Seen) -> None:
    data = clip.read_bytes()
    clip.write_bytes(data[: data.index(b"moov")])
    seen(refused(clip, r"clip\.mp4 is no video that can be read"))


@pytest.mark.fault(BROKEN, promise="the frames there are, and a count of the others")
def test_half_an_mp4(clip: Path, seen: Seen) -> None:
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    reading = read_source(clip)
    numbers = [read_number(frame.surface.planes[0]) for frame in reading.frames]
    assert numbers == list(range(len(numbers)))
    assert 5 < len(numbers) < 35
    assert len(numbers) + reading.undecoded == reading.info.frame_count == 40
    seen(f"{len(numbers)} frames, all right, and {reading.undecoded} undecoded: 40")


@pytest.mark.fault(BROKEN, promise="the frames there are, and a count of the others")
def test_nothing_but_zeros_where_the_pictures_were(clip: Path, seen: Seen) -> None:
    data = clip.read_bytes()
    start = data.index(b"mdat") + 4
    clip.write_bytes(data[:start] + bytes(len(data) - start))
    reading = read_source(clip)
    assert isinstance(reading.fault, NoDecodableFrames)
    assert "holds h264 video, but no frame of it can be decoded (40 packets)" in str(reading.fault)
    seen(f"{reading.fault.state}, {reading.undecoded} packets undecoded")
