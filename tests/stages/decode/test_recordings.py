"""Recordings: every frame, in order, with its identity and its time."""

from __future__ import annotations

import itertools
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.config import SourceConfig
from pipeline.errors import NoDecodableFrames
from pipeline.stage import Reader
from stages.decode import open_source
from stages.decode.surface import SurfaceMaker
from tests.cameras import numbered_frames, numbered_video, read_number
from tests.cameras.files import write_video
from tests.reading import Reading, read_source

FRAMES = {
    "one-by-one-person-detection.mp4": 1394,
    "car-detection.mp4": 377,
    "cars_768x768.h264": 250,
    "street-crowd.avi": 205,
    "retail-hevc-1080p.mp4": 603,
    "numbered-frames.mp4": 180,
}


def numbers_of(reading: Reading) -> list[int | None]:
    return [read_number(frame.surface.planes[0]) for frame in reading.frames]


@pytest.mark.parametrize("name", FRAMES)
def test_every_frame_of_the_shared_clips(shared_data: Path, name: str) -> None:
    source = SourceConfig(url=str(shared_data / "videos" / name), source_id="clip")
    reader = open_source(source, next_epoch=lambda: 7)
    last_ns, count = -1, 0
    for frame in reader:
        assert frame.identity == ("clip", 7, count)
        assert frame.capture_time_ns > last_ns
        assert not frame.discontinuity
        last_ns, count = frame.capture_time_ns, count + 1
    assert (count, reader.undecoded) == (FRAMES[name], 0)
    assert reader.info.frame_count in (count, None)
    reader.close()


def test_surfaces_of_a_shared_clip_are_those_of_bare_pyav(shared_data: Path) -> None:
    path = shared_data / "videos" / "numbered-frames.mp4"
    with av.open(str(path)) as container, closing(open_reader(path)) as reader:
        for frame, picture in zip(reader, container.decode(video=0), strict=True):
            assert frame.pts == picture.pts
            planes = np.concatenate([plane.ravel() for plane in frame.surface.planes])
            assert np.array_equal(planes, picture.to_ndarray().ravel())


def open_reader(path: Path) -> Reader:
    return open_source(SourceConfig(url=str(path), source_id="clip"), next_epoch=itertools.count(1).__next__)


@pytest.mark.parametrize("fps", [Fraction(30_000, 1001), Fraction(25, 2), Fraction(60)])
def test_rates_stay_exact(tmp_path: Path, fps: Fraction) -> None:
    metadata = {"creation_time": "2024-02-29T12:00:00Z"}
    path = write_video(tmp_path / "rate.mp4", numbered_frames(31, 320, 240), fps=fps, metadata=metadata)
    reading = read_source(path)
    start = 1_709_208_000_000_000_000
    assert reading.info.frame_rate == fps
    expected = [start + i * fps.denominator * 1_000_000_000 // fps.numerator for i in range(31)]
    assert [frame.capture_time_ns for frame in reading.frames] == pytest.approx(expected, abs=12_000)  # a tick
    assert [frame.pts * frame.time_base for frame in reading.frames if frame.pts is not None] == pytest.approx(
        [i / fps for i in range(31)], abs=1e-4
    )
    assert {frame.clock for frame in reading.frames} == {"recording"}


def test_a_pause_in_an_avi_is_no_loss(tmp_path: Path) -> None:
    """AVI has one rate: its writers fill a pause with chunks of no bytes, and count them as frames."""
    path = tmp_path / "pause.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number, picture in enumerate(numbered_frames(10, 320, 240)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number if number < 5 else number + 20, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    reading = read_source(path)
    assert numbers_of(reading) == list(range(10))
    assert (reading.info.frame_count, reading.undecoded) == (30, 0)
    assert reading.frames[5].capture_time_ns - reading.frames[4].capture_time_ns == 21 * 40_000_000


def test_a_picture_that_cannot_be_converted_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise av.error.MemoryError(12, "Cannot allocate memory")

    monkeypatch.setattr(SurfaceMaker, "_converted", fail)
    path = write_video(tmp_path / "deep.mkv", numbered_frames(4, 320, 240), codec="ffv1", pixel_format="yuv444p")
    reading = read_source(path)
    assert (len(reading.frames), reading.undecoded) == (0, 4)
    assert isinstance(reading.fault, NoDecodableFrames)


def test_a_raw_stream_has_no_pts_and_counts_its_declared_rate(tmp_path: Path) -> None:
    path = tmp_path / "raw.h264"
    path.write_bytes(annex_b(30, 320, 240))
    reading = read_source(path)
    assert [frame.pts for frame in reading.frames] == [None] * 30
    assert [frame.capture_time_ns for frame in reading.frames] == [i * 40_000_000 for i in range(30)]
    assert numbers_of(reading) == list(range(30))


def test_a_change_of_size_starts_an_epoch(tmp_path: Path) -> None:
    path = tmp_path / "changes.h264"
    path.write_bytes(annex_b(60, 320, 240) + annex_b(20, 160, 96) + annex_b(20, 320, 240))
    reading = read_source(path)
    assert numbers_of(reading) == [*range(60), *range(20), *range(20)]
    assert reading.sequence == [(e, i) for e, n in ((1, 60), (2, 20), (3, 20)) for i in range(n)]
    sizes = [(frame.width, frame.height) for frame in reading.frames]
    assert sizes == [(320, 240)] * 60 + [(160, 96)] * 20 + [(320, 240)] * 20
    times = [frame.capture_time_ns for frame in reading.frames]
    assert times == sorted(set(times))


def test_the_same_file_gives_the_same_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "same.mp4", numbered_frames(20, 320, 240))
    one, other = read_source(path), read_source(path)
    for a, b in zip(one.frames, other.frames, strict=True):
        assert (a.identity, a.pts, a.capture_time_ns) == (b.identity, b.pts, b.capture_time_ns)
        assert all(np.array_equal(p, q) for p, q in zip(a.surface.planes, b.surface.planes, strict=True))


def test_a_surface_outlives_its_reader_and_cannot_be_written(tmp_path: Path) -> None:
    path = write_video(tmp_path / "kept.mp4", numbered_frames(20, 320, 240))
    frames = read_source(path).frames  # the reader is closed
    assert [read_number(frame.surface.planes[0]) for frame in frames] == list(range(20))
    with pytest.raises(ValueError, match="read-only"):
        frames[0].surface.planes[0][0, 0] = 1


def test_a_closed_reader_gives_no_more_frames(tmp_path: Path) -> None:
    reader = open_reader(write_video(tmp_path / "closed.mp4", numbered_frames(20, 320, 240)))
    frames = iter(reader)
    next(frames)
    reader.close()
    reader.close()
    assert list(frames) == []


def test_variables_of_the_environment_are_filled_in_at_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "clip.mp4", numbered_frames(3, 320, 240))
    monkeypatch.setenv("FOOTAGE", str(tmp_path))
    assert len(read_source("${FOOTAGE}/clip.mp4").frames) == 3


def annex_b(count: int, width: int, height: int) -> bytes:
    video = numbered_video(count, width, height)
    return b"".join(b"\x00\x00\x00\x01" + nal for unit in video.units for nal in unit.nals)
