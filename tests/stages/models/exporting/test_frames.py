"""Which frames are checked on and which are calibrated with."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.errors import ConfigError, DataError, SourceError
from pipeline.messages import Surface
from stages.models.exporting.frames import as_input, evenly, of_footage, of_worlds, spread

CLIP = Path(__file__).resolve().parents[4] / "samples" / "crossing" / "crossing.mp4"


def numbered(count: int) -> list[Surface]:
    return [Surface("rgb24", (np.full((2, 2, 3), number, np.uint8),)) for number in range(count)]


def number_of(surface: Surface) -> np.ndarray:
    return surface.planes[0]


@pytest.mark.parametrize(("length", "wanted"), [(1, 10), (10, 10), (11, 10), (64, 10), (200, 7)])
def test_frames_are_spread_over_a_stream_of_unknown_length(length: int, wanted: int) -> None:
    kept = [int(picture[0, 0, 0]) for picture in spread(numbered(length), wanted, make=number_of)]
    assert min(length, wanted) / 2 <= len(kept) <= wanted
    steps = set(np.diff(kept).tolist())
    assert len(steps) <= 1
    assert kept[0] == 0
    assert length - 1 - kept[-1] < (kept[1] if len(kept) > 1 else 1)  # the end is as well seen as the rest


def test_evenly_takes_both_ends() -> None:
    assert evenly(range(10), 3) == [0, 4, 9]
    assert evenly(range(2), 5) == [0, 1]


def test_what_is_checked_on_comes_after_what_is_calibrated_with() -> None:
    frames = of_footage([str(CLIP)], width=96, height=64, checked=5, calibrated=12)
    assert (len(frames.checked), len(frames.calibration), frames.real) == (5, 12, True)
    assert frames.told == "5 frames of crossing.mp4"
    assert {picture.shape for picture in (*frames.checked, *frames.calibration)} == {(1, 64, 96, 3)}
    assert not {picture.tobytes() for picture in frames.checked} & {p.tobytes() for p in frames.calibration}


def test_the_network_takes_planes() -> None:
    picture = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3)
    assert as_input(picture).shape == (1, 3, 2, 4)
    assert as_input(picture)[0, 2, 1, 3] == picture[0, 1, 3, 2]


def test_streets_stand_in_and_say_so() -> None:
    frames = of_worlds(width=96, height=64, checked=2)
    assert (len(frames.checked), frames.calibration, frames.real) == (2, (), False)
    assert "no camera's" in frames.told


def test_live_sources_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"rtsp://.* is live"):
        of_footage(["rtsp://192.0.2.1/x"], width=96, height=64)
    with pytest.raises(SourceError, match=r"no-such\.mp4"):
        of_footage([str(tmp_path / "no-such.mp4")], width=96, height=64)


def test_a_video_of_one_frame_is_too_short(tmp_path: Path) -> None:
    path = tmp_path / "short.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 96, 64
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8), format="rgb24")
        container.mux([*stream.encode(frame), *stream.encode(None)])
    with pytest.raises(DataError, match=r"short\.mkv: too few frames to check a network on"):
        of_footage([str(path)], width=96, height=64)
