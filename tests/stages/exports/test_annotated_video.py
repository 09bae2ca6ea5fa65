"""The drawn video: every picture at its own time, and the sound where it belongs."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline.errors import SourceError
from stages.exports.video import RecordingTimeline
from tests.cameras.numbered import read_number
from tests.stages.exports.clips import flash_and_beep, flash_and_beep_seconds
from tests.stages.exports.recordings import (
    Recording,
    clip,
    export,
    files_of,
    lost,
    recording,
    results_in,
    without_objects,
)


def pictures(path: Path) -> list[tuple[float, np.ndarray]]:
    """Times and pictures of a video."""
    with av.open(str(path)) as container:
        frames: Any = container.decode(video=0)
        return [(float(frame.pts * frame.time_base), frame.to_ndarray(format="rgb24")) for frame in frames]


def test_every_frame_is_drawn_at_its_own_time(small: Recording, tmp_path: Path) -> None:
    folder = small.into(tmp_path, "video")
    given, drawn = pictures(small.video), pictures(folder / "annotated.mp4")
    assert [time for time, _ in drawn] == pytest.approx([i / 25 for i in range(12)], abs=1e-4)
    for (_, before), (_, after) in zip(given, drawn, strict=True):
        changed = np.abs(before.astype(int) - after.astype(int)).max(axis=2) > 60
        assert 50 < changed.sum() < changed.size * 0.8  # something is drawn, and the picture is still there
    assert sorted(files_of(folder)) == ["annotated.mp4", "results.jsonl"]


def test_real_results_are_drawn(crossing: Path) -> None:
    folder = crossing / "fps" / "crossing"
    export(folder, crossing / "crossing.mp4", "video")
    drawn = pictures(folder / "annotated.mp4")
    assert len(drawn) == 40
    assert {picture.shape for _, picture in drawn} == {(720, 1280, 3)}


def test_frames_of_a_gap_are_not_in_it_and_the_others_keep_their_times(tmp_path: Path) -> None:
    video = clip(tmp_path / "clip.mp4", sizes=((320, 192),))
    folder = recording(video, change=lost(4, 6)).into(tmp_path / "made", "video")
    drawn = pictures(folder / "annotated.mp4")
    kept = [0, 1, 2, 3, 7, 8, 9, 10, 11]
    assert [time for time, _ in drawn] == pytest.approx([i / 25 for i in kept], abs=1e-4)
    shown = recording(video, change=without_objects).into(tmp_path / "bare", "video")
    assert [read_number(picture) for _, picture in pictures(shown / "annotated.mp4")] == [*range(12)]


def test_another_picture_size_is_fitted_in(two_sizes: Recording, tmp_path: Path) -> None:
    drawn = pictures(two_sizes.into(tmp_path, "video") / "annotated.mp4")
    assert len(drawn) == 24
    assert {picture.shape for _, picture in drawn} == {(64, 96, 3)}
    assert [round(time * 25) for time, _ in drawn] == [*range(24)]


@pytest.mark.parametrize(
    ("name", "settings", "codec"),
    [
        ("clip.mp4", {}, "aac"),
        ("late.mp4", {"sound_from": 0.4}, "aac"),
        ("clip.ts", {}, "aac"),
        ("clip.mkv", {"codec": "libopus"}, "opus"),
        ("mp3.mp4", {"codec": "libmp3lame"}, "mp3"),
        ("pcm.mkv", {"codec": "pcm_s16le"}, "aac"),
        ("paused.mkv", {"codec": "pcm_s16le", "pause": 0.3}, "aac"),
        ("latepcm.mkv", {"codec": "pcm_s16le", "sound_from": 0.4}, "aac"),
    ],
)
def test_sound_stays_with_the_pictures(name: str, settings: dict[str, Any], codec: str, tmp_path: Path) -> None:
    video = flash_and_beep(tmp_path / name, **settings)
    made = recording(video, change=without_objects).into(tmp_path / "made", "video") / "annotated.mp4"
    with av.open(str(made)) as container:
        assert [stream.codec_context.codec.canonical_name for stream in container.streams] == ["h264", codec]
    flash, beep = flash_and_beep_seconds(made)
    assert flash == pytest.approx(1.0, abs=0.001)
    before = flash_and_beep_seconds(video)
    assert beep - flash == pytest.approx(before[1] - before[0], abs=0.003)
    assert sorted(files_of(made.parent)) == ["annotated.mp4", "results.jsonl"]


def test_sound_begins_with_the_first_picture_that_has_a_result(tmp_path: Path) -> None:
    video = flash_and_beep(tmp_path / "clip.mp4")
    made = recording(video, change=lost(0, 9)).into(tmp_path / "made", "video") / "annotated.mp4"
    flash, beep = flash_and_beep_seconds(made)
    assert (flash, beep) == (pytest.approx(0.6, abs=0.001), pytest.approx(0.6, abs=0.003))


def test_without_sound_there_is_none(small: Recording, tmp_path: Path) -> None:
    with av.open(str(small.into(tmp_path, "video") / "annotated.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_a_time_line_that_goes_back_goes_on_without_its_sound(small: Recording) -> None:
    first, *others = results_in(small.items)
    timeline = RecordingTimeline(first)
    assert [timeline.tick(one) for one in (first, *others[:2])] == [0, 3600, 7200]
    assert timeline.span == (0, Fraction(3, 25))
    assert timeline.tick(replace(others[2], pts=0)) == 10800
    assert timeline.span is None


def test_without_a_result_there_is_no_video(small: Recording, tmp_path: Path) -> None:
    folder = Recording(small.video, ()).into(tmp_path, "video")
    assert sorted(files_of(folder)) == ["results.jsonl"]


def test_another_recording_is_refused(small: Recording, two_sizes: Recording, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"clip\.mp4: frame 0 of epoch 1, 96x64, is not in it; it is not the record"):
        replace(two_sizes, video=small.video).into(tmp_path, "video")
    assert sorted(files_of(tmp_path)) == ["results.jsonl"]
