"""All trackers in one compiled call against one tracker and one frame at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from pipeline.config import TrackerConfig
from pipeline.messages import BatchDetections, Detections, Tracks
from stages.track.herd import Herd
from stages.track.masks import Masks
from stages.track.step import PATCH, assign
from tests.stages.track.slow.tracker import Tracker as SlowTracker

COLUMNS = ("ids", "boxes", "labels", "scores", "states", "detection_index")


def crowd(seed: int, frames: int, *, objects: int) -> list[Detections]:
    """Objects of three labels that cross, hide, come back and are doubted; boxes in no order, some of them no boxes."""
    rng = np.random.default_rng(seed)
    at, speed = rng.uniform(0, 600, (objects, 2)), rng.normal(0, 8, (objects, 2))
    size, labels = rng.uniform(20, 90, (objects, 2)), rng.integers(0, 3, objects)
    out = []
    for _ in range(frames):
        at = at + speed
        seen = rng.permutation(np.flatnonzero(rng.random(objects) < 0.8))
        corner = at[seen] + rng.normal(0, 2, (len(seen), 2))
        boxes = np.concatenate([corner, corner + size[seen]], axis=1).astype(np.float32)
        boxes[rng.random(len(boxes)) < 0.02] = np.nan
        scores = rng.choice(np.array([0.05, 0.2, 0.45, 0.5, 0.7, 0.9], np.float32), len(seen))
        out.append(Detections.of(boxes, scores, labels[seen].astype(np.int32)))
    return out


def masks_for(rng: np.random.Generator, count: int) -> Masks:
    """Masks that look like nothing in particular; some detections have none."""
    patches = (rng.random((count, PATCH * PATCH)) < 0.6).astype(np.uint8)
    patches[rng.random(count) < 0.2] = 0
    fills = patches.mean(axis=1).astype(np.float32)
    return Masks(patches, fills, (fills > 0) | (rng.random(count) < 0.05))


def joined(masks: Sequence[Masks]) -> Masks:
    columns = ([getattr(one, name) for one in masks] for name in ("patches", "fills", "shown"))
    return Masks(*(np.concatenate(column) for column in columns))


def shake(rng: np.random.Generator) -> np.ndarray:
    """How a camera in a wind moves: some pixels, half a degree, half a per cent."""
    angle, scale = rng.normal(0, 0.01), rng.normal(1, 0.005)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.concatenate([turn, rng.normal(0, 6, (2, 1))], axis=1)


def assert_same(ours: Tracks, theirs: Tracks) -> None:
    for name in COLUMNS:
        left, right = getattr(ours, name), getattr(theirs, name)
        assert left.dtype == right.dtype, name
        assert left.tobytes() == right.tobytes(), name


@pytest.mark.parametrize("size", [1, 3, 17])
@pytest.mark.parametrize(
    "config",
    [
        TrackerConfig(),
        TrackerConfig(confirm_frames=1, lost_seconds=0.2),
        TrackerConfig(confirm_frames=4, match_iou=0.0, second_match_iou=0.0, new_track_score=0.7),
        TrackerConfig(recipe="oc-sort"),
        TrackerConfig(recipe="oc-sort", direction_weight=0.0, wide_buffer=0.4, lost_seconds=0.3),
        TrackerConfig(follow="masks", mask_weight=0.0, buffer=0.3, wide_buffer=0.5),
        TrackerConfig(follow="masks", lost_seconds=0.3),
        TrackerConfig(recipe="oc-sort", follow="masks", mask_weight=1.0, buffer=0.1, confirm_frames=1),
    ],
)
@pytest.mark.parametrize("still", [True, False])
def test_equals_a_tracker_a_source_to_the_bit(size: int, config: TrackerConfig, still: bool) -> None:
    """Sources of 0 to 45 objects, frames in an order of their own, every ninth only predicted, in batches."""
    rng = np.random.default_rng(size)
    scenes = [crowd(seed, 40, objects=9 * seed) for seed in range(6)]
    order = rng.permutation(np.repeat(np.arange(6), 40))
    herd, slow = Herd(config), [SlowTracker(config) for _ in scenes]
    numbers = [herd.admit() for _ in scenes]
    steps = [0] * len(scenes)
    queue: list[tuple[int, float, Detections, bool, Masks, np.ndarray | None]] = []
    published = 0
    states: set[int] = set()
    for turn, source in enumerate(order.tolist()):
        step = steps[source]
        steps[source] += 1
        analysed = turn % 9 != 8 or step == 0
        found = scenes[source][step] if analysed else Detections.empty()
        camera = None if still or step == 0 or turn % 3 == 0 else shake(rng)
        queue.append((source, step * 0.04 + 0.001 * (step % 3), found, analysed, masks_for(rng, len(found)), camera))
        if len(queue) < size:
            continue
        sources, times, boxes, seen, masks, cameras = zip(*queue, strict=True)
        ours = herd.step(
            [numbers[s] for s in sources],
            times,
            BatchDetections.of(boxes),
            seen,
            masks=joined(masks) if config.follow == "masks" else None,
            motions=cameras,
            sizes=None if still else [(640, 480)] * len(queue),
        )
        size_of = None if still else (640, 480)
        for tracks, (s, time, found, seen_it, mask, moved) in zip(ours, queue, strict=True):
            if seen_it:
                assert_same(tracks, slow[s].update(found, time, masks=mask, camera=moved, size=size_of))
            else:
                assert_same(tracks, slow[s].predict(time, camera=moved))
            published += len(tracks)
            states |= set(tracks.states.tolist())
        queue.clear()
    assert published > 1000
    assert states >= ({1, 2, 3} if config.lost_seconds < 1 else {1, 2})
    assert (4 in states) <= (not still)


def test_a_tracker_that_goes_leaves_the_others_alone_and_its_number_starts_anew() -> None:
    herd, slow = Herd(TrackerConfig()), SlowTracker(TrackerConfig())
    scene = crowd(3, 30, objects=40)
    stays = herd.admit()
    for step, found in enumerate(scene):
        goes = herd.admit()
        both = BatchDetections.of((found, found))
        ours, first = herd.step((stays, goes), (step * 0.04, 0.0), both, (True, True))
        assert_same(ours, slow.update(found, step * 0.04))
        assert first.ids.tolist() == list(range(1, len(first) + 1))
        herd.dismiss(goes)


@pytest.mark.parametrize("recipe", ["bytetrack", "oc-sort"])
def test_masks_may_come_late_from_some_sources_and_stay_away_again(recipe: str) -> None:
    config = TrackerConfig(recipe=recipe, follow="masks")
    rng = np.random.default_rng(1)
    herd, slow = Herd(config), [SlowTracker(config) for _ in range(3)]
    numbers = [herd.admit() for _ in slow]
    scenes = [crowd(seed, 60, objects=30) for seed in range(3)]
    for step in range(60):
        found = [scene[step] for scene in scenes]
        # The first source never has a map, the second from the twentieth frame, the third at times.
        has = (False, step >= 20, step >= 20 and step % 7 < 5)
        masks = [masks_for(rng, len(one)) if its else Masks.none(len(one)) for one, its in zip(found, has, strict=True)]
        ours = herd.step(
            numbers, [step * 0.04] * 3, BatchDetections.of(found), [True] * 3, masks=joined(masks) if any(has) else None
        )
        for tracks, alone, one, mask in zip(ours, slow, found, masks, strict=True):
            assert_same(tracks, alone.update(one, step * 0.04, masks=mask))


def test_a_frame_without_a_tracker_has_no_tracks() -> None:
    herd = Herd(TrackerConfig())
    found = BatchDetections.of(crowd(1, 2, objects=5))
    assert [len(tracks) for tracks in herd.step((-1, -1), (0.0, 0.0), found, (True, True))] == [0, 0]


def test_assignment_is_that_of_scipy_ties_included() -> None:
    rng = np.random.default_rng(0)
    for _ in range(2000):
        rows = int(rng.integers(1, 8))
        columns = int(rng.integers(rows, 10))
        costs = -rng.choice(np.array([0.0, 0.25, 0.5, 0.6, 1.0]), (rows, columns), p=[0.5, 0.1, 0.2, 0.1, 0.1])
        ours = np.empty(rows, np.int64)
        assign(costs, ours)
        assert ours.tolist() == linear_sum_assignment(costs)[1].tolist()
