"""The tracking stage: sources, epochs, batches, clocks and planned skips."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from pipeline.config import TrackerConfig
from pipeline.messages import Batch, Detections, Frame, Surface, Tracks, TrackState
from pipeline.stage import Stage
from stages.track import Track
from stages.track.timeline import FIRST_STEP_SECONDS, Timeline

SURFACE = Surface(format="rgb24", planes=(np.zeros((4, 4, 3), np.uint8),))


def frame(source: str, seq: int, *, epoch: int = 1, time_ns: int | None = None, discontinuity: bool = False) -> Frame:
    """A frame at 25 frames a second."""
    capture = seq * 40_000_000 if time_ns is None else time_ns
    return Frame(source, epoch, seq, seq, Fraction(1, 25), capture, "pts", 0, SURFACE, discontinuity)


def at(x: float) -> Detections:
    """One confident box."""
    return Detections.of(np.array([[x, 0, x + 40, 80]], np.float32), np.array([0.9], np.float32), np.zeros(1, np.int32))


def walk(stage: Track, *frames: Frame, x: float = 0.0) -> list[Tracks]:
    """The tracks of frames that each show one box, one batch."""
    tracks = stage(Batch(frames=frames, detections=tuple(at(x + 3 * f.seq) for f in frames))).tracks
    assert tracks is not None
    return list(tracks)


def test_is_a_stage_that_wants_order() -> None:
    stage = Track(TrackerConfig())
    assert isinstance(stage, Stage)
    assert stage.stateful


def test_sources_count_apart() -> None:
    stage = Track()
    for seq in range(3):
        assert [t.ids.tolist() for t in walk(stage, frame("a", seq), frame("b", seq))] == [[1], [1]]


def test_batch_size_changes_nothing() -> None:
    frames = [frame(source, seq) for seq in range(12) for source in ("a", "b")]
    by_size = []
    for size in (1, 5, 24):
        stage = Track()
        tracks = [t for i in range(0, 24, size) for t in walk(stage, *frames[i : i + size])]
        by_size.append([(t.ids.tolist(), t.boxes.tolist(), t.states.tolist()) for t in tracks])
    assert by_size[0] == by_size[1] == by_size[2]


def test_a_new_epoch_starts_over_and_an_old_one_is_over() -> None:
    stage = Track()
    assert walk(stage, frame("a", 0), frame("a", 1))[1].ids.tolist() == [1]
    assert walk(stage, frame("a", 0, epoch=2), x=300)[0].ids.tolist() == [1]
    assert len(walk(stage, frame("a", 2))[0]) == 0
    assert walk(stage, frame("a", 1, epoch=2), x=300)[0].ids.tolist() == [1]


def test_a_source_that_is_forgotten_starts_over() -> None:
    stage = Track()
    walk(stage, frame("a", 0), frame("a", 1))
    stage.forget("a")
    stage.forget("never seen")
    assert walk(stage, frame("a", 2), x=500)[0].ids.tolist() == [1]


def test_a_frame_that_was_not_analysed_is_predicted() -> None:
    stage = Track()
    walk(stage, *(frame("a", seq) for seq in range(10)))
    batch = stage(Batch(frames=(frame("a", 10),), detections=(Detections.empty(),), analysed=(False,)))
    assert batch.tracks is not None
    assert batch.detections is not None
    tracks, detections = batch.tracks[0], batch.detections[0]
    assert tracks.ids.tolist() == [1]
    assert tracks.boxes[0, 0] == pytest.approx(30, abs=2)
    assert detections.boxes.tolist() == tracks.boxes.tolist()
    assert tracks.of_detections(1).tolist() == [1]
    assert walk(stage, frame("a", 11))[0].ids.tolist() == [1]


def test_a_lost_track_is_no_detection_of_a_skipped_frame() -> None:
    stage = Track()
    walk(stage, *(frame("a", seq) for seq in range(5)))
    skip = Batch(frames=(frame("a", 5), frame("a", 6)), detections=(Detections.empty(),) * 2, analysed=(True, False))
    batch = stage(skip)
    assert batch.tracks is not None
    assert batch.detections is not None
    assert batch.tracks[1].states.tolist() == [TrackState.LOST]
    assert batch.tracks[1].detection_index.tolist() == [-1]
    assert len(batch.detections[1]) == 0


def test_a_clock_that_jumps_does_not_throw_tracks_away() -> None:
    stage, hour = Track(), 3600 * 10**9
    walk(stage, *(frame("a", seq) for seq in range(10)))
    for seq in range(10, 20):
        jumped = frame("a", seq, time_ns=hour + seq * 40_000_000, discontinuity=seq == 10)
        assert walk(stage, jumped)[0].ids.tolist() == [1]


class TestTimeline:
    def test_follows_the_clock(self) -> None:
        timeline = Timeline()
        times = [timeline.advance(ms * 1_000_000 + 10**18) for ms in (0, 40, 80, 200)]
        assert times == pytest.approx([0, 0.04, 0.08, 0.2])

    def test_a_clock_that_stands_or_runs_back_steps_as_before(self) -> None:
        timeline = Timeline()
        times = [timeline.advance(ms * 1_000_000) for ms in (0, 100, 100, 50, 150)]
        assert times == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])

    def test_a_discontinuity_steps_as_before(self) -> None:
        timeline = Timeline()
        timeline.advance(0)
        assert timeline.advance(10**15, discontinuity=True) == pytest.approx(FIRST_STEP_SECONDS)
