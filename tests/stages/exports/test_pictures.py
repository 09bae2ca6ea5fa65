"""Each result finds its own picture: in parts of recordings, in keyframes alone, in segments as one source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.config import SourceConfig
from pipeline.errors import SourceError
from pipeline.messages import FrameResult
from stages.exports.entry import Job
from stages.exports.pictures import Pictures
from stages.publish.rgb import rgb_of
from tests.cameras.numbered import read_number
from tests.stages.exports.clips import flash_and_beep, flash_and_beep_seconds
from tests.stages.exports.recordings import Recording, clip, lost, recording, results_in, without_objects
from tests.stages.exports.test_annotated_video import pictures
from tests.stages.exports.test_report import images, page

SIZE = (320, 192)
HOUR_NS = 3_600_000_000_000


def numbers(made: Recording, folder: Path) -> list[int | None]:
    """The numbers in the pictures that results find."""
    videos = (made.video,) if isinstance(made.video, Path) else tuple(made.video)
    found = Pictures(Job(folder / "results.jsonl", folder, videos, SourceConfig(url="-", source_id="clip")))
    try:
        return [read_number(rgb_of(found.of(result))) for result in results_in(made.items)]
    finally:
        found.close()


def renumbered(results: Sequence[FrameResult]) -> tuple[FrameResult, ...]:
    """As frames of a part are: from 0."""
    return tuple(replace(result, seq=seq) for seq, result in enumerate(results))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize(
    "wanted",
    [lambda i: 40 <= i < 52, lambda i: i % 6 == 0, lambda i: i >= 55, lambda i: i not in (3, 4, 20)],
    ids=["part", "keyframes", "end", "gaps"],
)
def test_pictures_of_some_frames(suffix: str, wanted: Callable[[int], bool], tmp_path: Path) -> None:
    whole = recording(clip(tmp_path / f"clip.{suffix}", sizes=(SIZE,), frames=60))
    chosen = [i for i in range(60) if wanted(i)]
    part = replace(whole, items=renumbered([results_in(whole.items)[i] for i in chosen]))
    assert numbers(part, tmp_path) == chosen


def test_pictures_without_time_stamps_are_counted(tmp_path: Path) -> None:
    video = clip(tmp_path / "clip.h264", sizes=(SIZE, (352, 208)))
    whole = recording(video, change=lost(4, 6))
    assert {result.pts for result in results_in(whole.items)} == {None}
    assert numbers(whole, tmp_path) == [0, 1, 2, 3, *range(7, 24)]


@pytest.fixture
def segments(tmp_path: Path) -> Recording:
    """Two files of one camera, an hour apart, whose identities go on; between them one that cannot be read."""
    first = recording(clip(tmp_path / "1.mp4", sizes=(SIZE,)))
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    second = recording(clip(tmp_path / "2.mp4", sizes=(SIZE,)))
    assert isinstance(first.video, Path)
    assert isinstance(second.video, Path)
    later = tuple(
        replace(result, seq=12 + i, capture_time_ns=result.capture_time_ns + HOUR_NS, discontinuity=i == 0)
        for i, result in enumerate(results_in(second.items))
    )
    return Recording((first.video, tmp_path / "broken.mp4", second.video), (*first.items, *later))


def test_segments_are_one_recording(segments: Recording, tmp_path: Path) -> None:
    assert numbers(segments, tmp_path) == [*range(12)] * 2
    bare = replace(segments, items=tuple(without_objects(result) for result in results_in(segments.items)))
    drawn = pictures(bare.into(tmp_path / "bare", "video") / "annotated.mp4")
    assert [read_number(picture) for _, picture in drawn] == [*range(12)] * 2
    assert [time for time, _ in drawn] == pytest.approx([i / 25 for i in range(24)], abs=1e-4)


def test_a_report_of_segments(segments: Recording, tmp_path: Path) -> None:
    folder = segments.into(tmp_path / "made", "report", "mot")
    told = page(folder).text
    assert "1.mp4 and 2 more" in told
    assert "1:00:00.5 at 25 frames/s" in told
    assert len(images(folder)) == 4
    assert "frameRate=25\n" in (folder / "mot" / "seqinfo.ini").read_text()


def test_a_segment_that_is_missing_is_told(segments: Recording, tmp_path: Path) -> None:
    assert not isinstance(segments.video, Path)
    with pytest.raises(SourceError, match=r"1\.mp4 and 1 more: frame 12 of epoch 1, 320x192, is not in it"):
        numbers(replace(segments, video=segments.video[:2]), tmp_path)


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_sound_of_a_part_begins_and_ends_with_it(codec: str, tmp_path: Path) -> None:
    whole = recording(flash_and_beep(tmp_path / "clip.mkv", codec=codec, seconds=3), change=without_objects)
    part = replace(whole, items=renumbered(results_in(whole.items)[15:40]))
    made = part.into(tmp_path / "made", "video") / "annotated.mp4"
    assert flash_and_beep_seconds(made) == (pytest.approx(0.4, abs=0.001), pytest.approx(0.4, abs=0.003))
    with av.open(str(made)) as container:
        assert float(np.float64(container.streams.audio[0].duration) * container.streams.audio[0].time_base) < 1.05


def test_a_name_is_no_variable(small: Recording, tmp_path: Path) -> None:
    video = tmp_path / "${NO_SUCH_VARIABLE}.mp4"
    video.write_bytes(small.video.read_bytes() if isinstance(small.video, Path) else b"")
    folder = replace(small, video=video).into(tmp_path / "made", "video", "report")
    assert len(pictures(folder / "annotated.mp4")) == 12
    assert len(images(folder)) == 4
