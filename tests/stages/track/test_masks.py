"""Masks of detections, cell by cell, and what they are worth to a tracker."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from pipeline.config import TrackerConfig
from pipeline.messages import (
    Batch,
    BatchDetections,
    Detections,
    Frame,
    PanopticMap,
    PanopticRuns,
    Segments,
    Surface,
    Transform,
    runs_of,
)
from stages.track import Track
from stages.track.masks import Masks, masks_of
from stages.track.step import PATCH

SURFACE = Surface(format="rgb24", planes=(np.zeros((240, 320, 3), np.uint8),))


def map_of(ids: np.ndarray, index: list[int], *, scale: float = 1.0, offset: float = 0.0) -> PanopticMap:
    """A map whose segment k + 1 is a thing of detection `index[k]`."""
    count = len(index)
    segments = Segments(
        np.arange(1, count + 1, dtype=np.int32),
        np.zeros(count, np.int32),
        np.ones(count, bool),
        np.ones(count, np.float32),
        np.ones(count, np.int32),
        np.zeros((count, 4), np.float32),
        np.array(index, np.int32),
        np.full(count, -1, np.int64),
    )
    return PanopticMap(ids.astype(np.uint16), segments, Transform(scale, scale, offset, offset))


def boxes(*rows: tuple[float, float, float, float]) -> Detections:
    count = len(rows)
    return Detections.of(
        np.array(rows, np.float32).reshape(-1, 4), np.full(count, 0.9, np.float32), np.zeros(count, np.int32)
    )


def test_a_mask_is_looked_up_in_the_map_at_its_own_scale() -> None:
    ids = np.zeros((60, 80))
    ids[10:30, 20:40] = 1  # source pixels 84..164 by 44..124
    masks = masks_of(
        BatchDetections.of([boxes((84, 44, 164, 124), (84, 44, 244, 124))]), [map_of(ids, [1], scale=4, offset=4)]
    )
    assert masks.fills.tolist() == [0.0, 0.5]
    assert masks.patches[1].reshape(PATCH, PATCH)[:, : PATCH // 2].all()
    assert not masks.patches[1].reshape(PATCH, PATCH)[:, PATCH // 2 :].any()


def test_a_map_known_by_its_runs_is_looked_up_in_them() -> None:
    rng = np.random.default_rng(0)
    ids = np.repeat(np.repeat(rng.integers(0, 4, (24, 32)), 5, axis=0), 3, axis=1).astype(np.uint16)
    corners = rng.uniform(-40, 200, (60, 2))
    found = boxes(*np.hstack([corners, corners + rng.uniform(0.1, 150, (60, 2))]).tolist())
    dense = map_of(ids, [7, 20, 41], scale=2.5, offset=-6)
    lengths, values = runs_of(ids)
    runs = PanopticRuns(lengths, values, width=96, height=120, segments=dense.segments, transform=dense.transform)
    told, looked_up = masks_of(BatchDetections.of([found]), [runs]), masks_of(BatchDetections.of([found]), [dense])
    assert told.fills[[7, 20, 41]].all()
    assert told.patches.tolist() == looked_up.patches.tolist()
    centres = (np.arange(PATCH) + 0.5) / PATCH
    for row in (7, 20, 41):
        left, top, right, bottom = found.boxes[row].astype(np.float64)
        xs = np.floor((left + centres * (right - left) + 6) / 2.5).astype(int)
        ys = np.floor((top + centres * (bottom - top) + 6) / 2.5).astype(int)
        inside = ((ys >= 0) & (ys < 120))[:, None] & ((xs >= 0) & (xs < 96))
        there = ids[np.clip(ys, 0, 119)[:, None], np.clip(xs, 0, 95)] == [7, 20, 41].index(row) + 1
        assert told.patches[row].reshape(PATCH, PATCH).astype(bool).tolist() == (inside & there).tolist()
    assert runs._pixels is None  # nobody made them


def test_every_frame_has_its_own_map_and_some_have_none() -> None:
    ids = np.ones((240, 320))
    found = BatchDetections.of([boxes((0, 0, 10, 10)), boxes(), boxes((5, 5, 50, 50), (-20, -20, 20, 20))])
    masks = masks_of(found, [None, map_of(ids, []), map_of(ids, [1])])
    assert masks.fills.tolist() == [0.0, 0.0, 0.25]


def test_boxes_that_are_none_have_no_mask() -> None:
    ids = np.ones((240, 320))
    masks = masks_of(BatchDetections.of([boxes((np.nan, 0, 9, 9), (9, 9, 9, 20))]), [map_of(ids, [0])])
    assert masks.fills.tolist() == [0.0, 0.0]
    assert len(Masks.none(3).patches) == 3


def crossing(step: int) -> tuple[Detections, PanopticMap]:
    """Two that pass through each other. While they meet, a detector led astray draws both boxes around both, a pixel
    apart, now one first and now the other: only pixels tell who is who."""
    left, right = 60 + 6 * step, 168 - 6 * step
    ids = np.zeros((240, 320), np.uint16)
    ids[80:160, right : right + 50] = 2
    ids[60:180, left : left + 30] = 1
    low, high = min(left, right), max(left + 30, right + 50)
    found = boxes((left, 60, left + 30, 180), (right, 80, right + 50, 160))
    if high - low < 70:
        found = boxes((low + step % 2, 60, high, 180), (low + 1 - step % 2, 60, high, 180))
    return found, map_of(ids, [0, 1])


def ids_over_time(config: TrackerConfig) -> list[list[int]]:
    """The track ids of the one in front and the one behind, frame by frame."""
    stage, ids = Track(config), []
    for step in range(19):
        found, panoptic = crossing(step)
        frame = Frame("a", 1, step, step, Fraction(1, 25), step * 40_000_000, "pts", 0, SURFACE)
        tracks = stage(Batch(frames=(frame,), detections=(found,), panoptic=(panoptic,))).tracks
        assert tracks is not None
        ids.append(tracks[0].of_detections(2).tolist())
    return ids


def test_masks_tell_apart_what_boxes_do_not() -> None:
    assert ids_over_time(TrackerConfig(follow="masks", mask_weight=0.7)) == [[1, 2]] * 19
    assert ids_over_time(TrackerConfig()) != [[1, 2]] * 19


def test_what_a_map_shows_is_followed_whatever_its_score_and_what_it_does_not_by_its_score() -> None:
    found = Detections.of(
        np.array([(20, 20, 60, 100), (120, 20, 160, 100), (220, 20, 260, 100)], np.float32),
        np.array([0.2, 0.2, 0.6], np.float32),
        np.zeros(3, np.int32),
    )
    ids = np.zeros((240, 320), np.uint16)
    ids[20:100, 20:60] = 1
    frame = Frame("a", 1, 0, 0, Fraction(1, 25), 0, "pts", 0, SURFACE)
    batch = Batch(frames=(frame,), detections=(found,), panoptic=(map_of(ids, [0]),))
    assert tracked(TrackerConfig(follow="masks"), batch) == [0, 2]
    assert tracked(TrackerConfig(), batch) == [2]


def test_a_segment_between_the_centres_of_cells_is_followed_too() -> None:
    found = Detections.of(
        np.array([(100, 20, 200, 220)], np.float32), np.array([0.45], np.float32), np.zeros(1, np.int32)
    )
    ids = np.zeros((240, 320), np.uint16)
    ids[20:220, 100:102] = 1
    masks = masks_of(BatchDetections.of([found]), [map_of(ids, [0])])
    assert (masks.fills.tolist(), masks.shown.tolist()) == ([0.0], [True])
    frame = Frame("a", 1, 0, 0, Fraction(1, 25), 0, "pts", 0, SURFACE)
    batch = Batch(frames=(frame,), detections=(found,), panoptic=(map_of(ids, [0]),))
    assert tracked(TrackerConfig(follow="masks"), batch) == [0]


def tracked(config: TrackerConfig, batch: Batch) -> list[int]:
    """Rows of the detections that have a track."""
    tracks = Track(config)(batch).tracks
    assert tracks is not None
    return tracks[0].detection_index.tolist()


def test_without_masks_boxes_count_alone() -> None:
    stage, plain = Track(TrackerConfig(follow="masks", mask_weight=0.7)), Track(TrackerConfig())
    for step in range(19):
        frame = Frame("a", 1, step, step, Fraction(1, 25), step * 40_000_000, "pts", 0, SURFACE)
        batch = Batch(frames=(frame,), detections=(crossing(step)[0],))
        assert repr_of(stage(batch)) == repr_of(plain(batch))


def repr_of(batch: Batch) -> list[object]:
    assert batch.tracks is not None
    return [(one.ids.tolist(), one.boxes.tolist()) for one in batch.tracks]
