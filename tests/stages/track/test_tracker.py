"""What a tracker must do, one behaviour a test."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.config import TrackerConfig
from pipeline.messages import BatchDetections, Detections, TrackState
from stages.track import Tracker
from stages.track.herd import Herd

FRAME_SECONDS = 0.04


def found(*rows: tuple[float, ...]) -> Detections:
    """Detections of (x, y, score, label) with boxes 40 wide and 80 high."""
    table = np.array(rows, dtype=np.float32).reshape(-1, 4)
    boxes = np.concatenate([table[:, :2], table[:, :2] + (40, 80)], axis=1).astype(np.float32)
    return Detections.of(boxes, table[:, 2].copy(), table[:, 3].astype(np.int32))


def crossing(frames: int, count: int, seed: int = 0) -> list[Detections]:
    """Objects that cross, with noise, misses, doubtful scores and false alarms."""
    rng = np.random.default_rng(seed)
    start, speed = rng.uniform(0, 900, (count, 2)), rng.normal(0, 80, (count, 2))
    out = []
    for t in range(frames):
        seen = rng.random(count) > 0.1
        at = (start + speed * t * FRAME_SECONDS + rng.normal(0, 2, (count, 2)))[seen]
        false = rng.uniform(0, 900, (rng.integers(0, 3), 2))
        scores = np.concatenate([rng.uniform(0.2, 0.95, len(at)), rng.uniform(0.1, 0.7, len(false))])
        labels = np.concatenate([np.flatnonzero(seen) % 2, rng.integers(0, 2, len(false))])
        out.append(found(*zip(*np.concatenate([at, false]).T, scores, labels, strict=True)))
    return out


def test_the_first_frame_confirms_at_once() -> None:
    tracks = Tracker().update(found((0, 0, 0.9, 0), (200, 0, 0.8, 0), (400, 0, 0.3, 0)), 0.0)
    assert tracks.ids.tolist() == [1, 2]
    assert tracks.states.tolist() == [TrackState.CONFIRMED] * 2
    assert tracks.detection_index.tolist() == [0, 1]


def test_a_later_track_shows_when_confirmed_and_false_alarms_use_no_id() -> None:
    tracker = Tracker(TrackerConfig(confirm_frames=3))
    assert len(tracker.update(found(), 0.0)) == 0
    assert len(tracker.update(found((0, 0, 0.9, 0), (500, 0, 0.9, 0)), 0.04)) == 0
    assert len(tracker.update(found((0, 0, 0.9, 0)), 0.08)) == 0  # the other was a false alarm
    tracks = tracker.update(found((0, 0, 0.9, 0), (700, 0, 0.9, 0)), 0.12)
    assert tracks.ids.tolist() == [1]
    assert tracks.detection_index.tolist() == [0]


def test_a_moving_object_keeps_its_id_and_box() -> None:
    tracker = Tracker()
    for t in range(50):
        detections = found((10 * t, 3 * t, 0.9, 0))
        tracks = tracker.update(detections, t * FRAME_SECONDS)
        assert tracks.ids.tolist() == [1]
        assert tracks.boxes.tolist() == detections.boxes.tolist()


def test_two_that_cross_keep_their_ids() -> None:
    tracker = Tracker()
    for t in range(60):
        tracks = tracker.update(found((10 * t, 0, 0.9, 0), (590 - 10 * t, 20, 0.9, 0)), t * FRAME_SECONDS)
        assert tracks.ids.tolist() == [1, 2]
        assert tracks.detection_index.tolist() == [0, 1]


def test_a_doubtful_box_continues_a_track_and_starts_none() -> None:
    tracker = Tracker()
    tracker.update(found((0, 0, 0.9, 0)), 0.0)
    for t in range(1, 10):
        tracks = tracker.update(found((2 * t, 0, 0.2, 0), (500, 0, 0.3, 0)), t * FRAME_SECONDS)
        assert tracks.ids.tolist() == [1]
        assert tracks.states.tolist() == [TrackState.CONFIRMED]
        assert tracks.scores.tolist() == [np.float32(0.2)]


def test_a_lost_track_is_predicted_and_comes_back() -> None:
    tracker = Tracker()
    for t in range(20):
        tracker.update(found((5 * t, 0, 0.9, 0)), t * FRAME_SECONDS)
    for t in range(20, 30):
        tracks = tracker.update(found(), t * FRAME_SECONDS)
        assert tracks.states.tolist() == [TrackState.LOST]
        assert tracks.detection_index.tolist() == [-1]
        assert tracks.boxes[0, 0] == pytest.approx(5 * t, abs=8)
    tracks = tracker.update(found((150, 0, 0.9, 0)), 30 * FRAME_SECONDS)
    assert tracks.ids.tolist() == [1]
    assert tracks.states.tolist() == [TrackState.CONFIRMED]


@pytest.mark.parametrize("frame_seconds", [0.02, 0.1])
def test_a_lost_track_ends_by_time_not_by_frames(frame_seconds: float) -> None:
    tracker = Tracker(TrackerConfig(lost_seconds=0.5))
    tracker.update(found((0, 0, 0.9, 0)), 0.0)
    told = [tracker.update(found(), t * frame_seconds).states.tolist() for t in range(1, 60)]
    lived = max(t for t, states in enumerate(told, 1) if states == [TrackState.LOST])
    assert lived * frame_seconds == pytest.approx(0.5, abs=frame_seconds)
    assert [states for states in told if states and states != [TrackState.LOST]] == [[TrackState.ENDED]]
    assert tracker.update(found((0, 0, 0.9, 0)), 60 * frame_seconds).ids.tolist() == []


def test_another_label_does_not_continue_a_track() -> None:
    tracker = Tracker(TrackerConfig(confirm_frames=1))
    tracker.update(found((0, 0, 0.9, 0)), 0.0)
    tracks = tracker.update(found((0, 0, 0.9, 1)), 0.04)
    assert tracks.ids.tolist() == [1, 2]
    assert tracks.labels.tolist() == [0, 1]
    assert tracks.states.tolist() == [TrackState.LOST, TrackState.CONFIRMED]


def test_uneven_steps_do_not_matter() -> None:
    tracker, rng, now = Tracker(), np.random.default_rng(0), 0.0
    for _ in range(60):
        tracks = tracker.update(found((100 * now, 0, 0.9, 0)), now)
        assert tracks.ids.tolist() == [1]
        now += float(rng.choice([0.02, 0.04, 0.12]))


def test_prediction_changes_nothing() -> None:
    asked, silent = Tracker(), Tracker()
    for t, detections in enumerate(crossing(40, 10)):
        now = t * FRAME_SECONDS
        if t:
            before = asked.predict(now - 0.01)
            assert (before.detection_index == -1).all()
            assert asked.predict(now - 0.01).boxes.tolist() == before.boxes.tolist()
        first, second = asked.update(detections, now), silent.update(detections, now)
        assert first.ids.tolist() == second.ids.tolist()
        assert first.boxes.tolist() == second.boxes.tolist()


def test_prediction_lies_ahead() -> None:
    tracker = Tracker()
    for t in range(20):
        tracker.update(found((5 * t, 0, 0.9, 0)), t * FRAME_SECONDS)
    tracks = tracker.predict(21 * FRAME_SECONDS)
    assert tracks.boxes[0, 0] == pytest.approx(105, abs=3)
    assert tracks.states.tolist() == [TrackState.CONFIRMED]


def test_every_id_once_rising_and_every_detection_once() -> None:
    tracker, highest = Tracker(), 0
    ended: set[int] = set()
    for t, detections in enumerate(crossing(200, 25)):
        tracks = tracker.update(detections, t * FRAME_SECONDS)
        assert (np.diff(tracks.ids) > 0).all()
        seen = tracks.detection_index[tracks.detection_index >= 0]
        assert len(set(seen.tolist())) == len(seen)
        assert (tracks.labels[tracks.detection_index >= 0] == detections.labels[seen]).all()
        assert ((tracks.detection_index >= 0) == (tracks.states == TrackState.CONFIRMED)).all()
        assert not ended & set(tracks.ids.tolist())
        ended |= set(tracks.ids[tracks.states == TrackState.ENDED].tolist())
        assert (tracks.of_detections(len(detections))[seen] > 0).all()
        highest = max(highest, int(tracks.ids.max(initial=0)))
    assert highest >= 25


def test_trackers_share_nothing_and_reset_starts_over() -> None:
    one, other = Tracker(), Tracker()
    frames = crossing(30, 8)
    first = [one.update(d, t * FRAME_SECONDS).ids.tolist() for t, d in enumerate(frames)]
    other.update(frames[0], 0.0)
    one.reset()
    assert [one.update(d, t * FRAME_SECONDS).ids.tolist() for t, d in enumerate(frames)] == first
    assert other.update(frames[1], 0.04).ids.tolist() == first[1]


def test_boxes_that_are_not_finite_are_not_followed() -> None:
    broken = found((0, 0, 0.9, 0), (200, 0, 0.9, 0))
    broken.boxes[0, 0] = np.nan
    tracker = Tracker()
    assert tracker.update(broken, 0.0).detection_index.tolist() == [1]
    assert tracker.update(broken, 0.04).detection_index.tolist() == [1]


def test_arrays_may_be_read_only_and_stay_as_they_are() -> None:
    detections = found((0, 0, 0.9, 0))
    for array in (detections.boxes, detections.scores, detections.labels):
        array.setflags(write=False)
    tracker = Tracker()
    tracker.update(detections, 0.0)
    assert tracker.update(detections, 0.04).ids.tolist() == [1]


def test_what_was_published_does_not_change_later() -> None:
    tracker = Tracker()
    tracks = tracker.update(found((0, 0, 0.9, 0)), 0.0)
    before = (tracks.boxes.tolist(), tracks.states.tolist(), tracks.scores.tolist())
    tracker.update(found((5, 0, 0.8, 0)), 0.04)
    tracker.update(found(), 0.08)
    assert (tracks.boxes.tolist(), tracks.states.tolist(), tracks.scores.tolist()) == before


@pytest.mark.parametrize("method", ["update", "predict"])
def test_time_must_move_forward(method: str) -> None:
    tracker = Tracker()
    tracker.update(found(), 2.0)
    with pytest.raises(ValueError, match=r"time_seconds is 2\.0; more than the last frame's 2\.0"):
        tracker.update(found(), 2.0) if method == "update" else tracker.predict(2.0)


def test_nothing_at_all() -> None:
    tracker = Tracker()
    assert len(tracker.predict(1.0)) == 0
    for t in range(3):
        assert len(tracker.update(Detections.empty(), float(t))) == 0


def test_oc_sort_finds_again_where_it_was_last_seen() -> None:
    """It ran, hid, and stands where it hid: the filter has it run on."""
    ids = {}
    for recipe in ("bytetrack", "oc-sort"):
        tracker = Tracker(TrackerConfig(recipe=recipe))  # type: ignore[arg-type]
        for t in range(20):
            tracker.update(found((8 * t, 0, 0.9, 0)), t * FRAME_SECONDS)
        for t in range(20, 32):
            tracker.update(found(), t * FRAME_SECONDS)
        for t in range(32, 35):
            tracks = tracker.update(found((8 * 19, 0, 0.9, 0)), t * FRAME_SECONDS)
        ids[recipe] = tracks.ids[tracks.states == TrackState.CONFIRMED].tolist()
    assert ids == {"bytetrack": [2], "oc-sort": [1]}


def test_oc_sort_knows_the_speed_of_what_it_found_again() -> None:
    """It turned back while it was hidden; led along the line between, the filter expects it on its way back."""
    tracker = Tracker(TrackerConfig(recipe="oc-sort", lost_seconds=3))
    for t in range(20):
        tracker.update(found((4 * t, 0, 0.9, 0)), t * FRAME_SECONDS)
    for t in range(20, 40):
        tracker.update(found(), t * FRAME_SECONDS)
    tracker.update(found((56, 0, 0.9, 0)), 40 * FRAME_SECONDS)
    ahead = tracker.predict(42 * FRAME_SECONDS).boxes[0, 0]
    assert ahead < 56


def test_a_wider_box_bridges_a_leap() -> None:
    ids = {}
    for buffer in (0.0, 0.5):
        tracker = Tracker(TrackerConfig(wide_buffer=buffer, confirm_frames=1))
        tracker.update(found((0, 0, 0.9, 0)), 0.0)
        ids[buffer] = tracker.update(found((46, 0, 0.9, 0)), 0.04).ids.tolist()
    assert ids == {0.0: [1, 2], 0.5: [1]}


def test_a_track_that_left_the_picture_says_so() -> None:
    herd = Herd(TrackerConfig(lost_seconds=0.2))
    number = herd.admit()
    told = []
    for t in range(30):
        seen = found((560 + 6 * t, 0, 0.9, 0), (100, 0, 0.9, 0)) if t < 10 else found()
        block = BatchDetections.of([seen])
        tracks = herd.step([number], [t * FRAME_SECONDS], block, [True], sizes=[(640, 480)])[0]
        told += [
            (i, s) for i, s in zip(tracks.ids.tolist(), tracks.states.tolist(), strict=True) if s > TrackState.LOST
        ]
    assert sorted(told) == [(1, TrackState.LEFT), (2, TrackState.ENDED)]
