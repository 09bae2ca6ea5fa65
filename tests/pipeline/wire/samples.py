"""Results to send over the wire, made from a seed, and their comparison."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from pipeline.messages import (
    NO_TRACK,
    Classes,
    Detections,
    FrameResult,
    ModelInfo,
    PanopticMap,
    Segments,
    SourceStatus,
    Timings,
    Tracks,
    Transform,
)

CLASSES = Classes(things=("person", "bicycle", "car"), stuff=("road", "sky"))
MODEL = ModelInfo("everyframe-nano", "1")


def blobs(height: int, width: int, segments: int, *, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """An id map [height, width]: a void strip, two wavy stuff regions, then ellipses with ragged outlines."""
    rng = np.random.default_rng(seed)
    ids = np.zeros((height, width), dtype=np.uint16)
    rows, columns = np.mgrid[:height, :width]
    horizon = height * (0.4 + 0.05 * np.sin(columns[0] / 40.0)) + rng.normal(0, 1, width)
    ids[rows > height * 0.03] = 1
    ids[rows > horizon] = 2
    for segment in range(3, segments + 1):
        middle_y, middle_x = rng.uniform(0.2, 0.9) * height, rng.uniform(0.05, 0.95) * width
        radius_y, radius_x = rng.uniform(0.04, 0.15) * height, rng.uniform(0.02, 0.08) * width
        angle = np.arctan2(rows - middle_y, columns - middle_x)
        lobes = rng.integers(3, 9)
        outline = 1.0 + 0.15 * np.sin(lobes * angle + rng.uniform(0, 6)) + rng.normal(0, 0.02, ids.shape)
        ids[((rows - middle_y) / radius_y) ** 2 + ((columns - middle_x) / radius_x) ** 2 < outline**2] = segment
    return ids


def make_result(
    *, objects: int = 6, height: int = 54, width: int = 96, segments: int = 8, seed: int = 0
) -> FrameResult:
    """A result with `objects` detections and tracks, and a panoptic map of up to `segments` segments."""
    rng = np.random.default_rng(seed)
    boxes = _boxes(rng, objects)
    detections = Detections(
        boxes=boxes,
        scores=rng.random(objects, dtype=np.float32),
        labels=rng.integers(0, 3, objects).astype(np.int32),
        raw_scores=rng.random(objects, dtype=np.float32),
    )
    tracks = Tracks(
        ids=np.arange(1, objects + 1, dtype=np.int64),
        boxes=boxes + np.float32(0.5),
        labels=detections.labels,
        scores=detections.scores,
        states=rng.integers(0, 3, objects).astype(np.uint8),
        detection_index=np.arange(-1, objects - 1, dtype=np.int32),
    )
    return FrameResult(
        source_id="door",
        epoch=2,
        seq=41,
        pts=123_000,
        time_base=Fraction(1, 90_000),
        capture_time_ns=1_790_000_000_123_456_789,
        clock="rtcp",
        width=1920,
        height=1080,
        classes=CLASSES,
        model=MODEL,
        detections=detections,
        track_ids=tracks.of_detections(objects),
        tracks=tracks,
        panoptic=_panoptic(rng, height, width, segments, objects, seed),
        discontinuity=True,
        timings=Timings(batch_size=2, wait_ms=1.25, stage_ms={"detect": 9.5, "track": 0.25}, latency_ms=31.5),
    )


def empty_result() -> FrameResult:
    """A result of a frame in which there is nothing, from a network without masks."""
    return FrameResult(
        source_id="yard",
        epoch=1,
        seq=0,
        pts=None,
        time_base=Fraction(0, 1),
        capture_time_ns=0,
        clock="host",
        width=64,
        height=48,
        classes=Classes(things=()),
        model=ModelInfo("", ""),
        detections=Detections.empty(),
        track_ids=np.zeros(0, dtype=np.int64),
        tracks=Tracks.empty(),
        analysed=False,
    )


def make_status(source_id: str = "door", state: str = "STREAMING") -> SourceStatus:
    """A status with something in every column that matters here."""
    return SourceStatus(
        source_id, state, epoch=2, message="fine", captured=10, resulted=7, dropped={"late": 2}, in_flight=1
    )


def same(left: Any, right: Any) -> bool:
    """Equality through dataclasses and arrays: same types, dtypes, shapes and bytes."""
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()
    if is_dataclass(left):
        return type(left) is type(right) and all(
            same(getattr(left, f.name), getattr(right, f.name)) for f in fields(left)
        )
    return bool(left == right)


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    corner = rng.random((count, 2), dtype=np.float32) * 900
    return np.concatenate([corner, corner + 1 + rng.random((count, 2), dtype=np.float32) * 100], axis=1)


def _panoptic(rng: np.random.Generator, height: int, width: int, segments: int, objects: int, seed: int) -> PanopticMap:
    ids = blobs(height, width, segments, seed=seed)
    present, areas = np.unique(ids[ids > 0], return_counts=True)
    count = len(present)
    is_thing = present > 2
    index = np.where(is_thing & (present - 3 < objects), present.astype(np.int32) - 3, -1).astype(np.int32)
    table = Segments(
        ids=present.astype(np.int32),
        labels=np.where(is_thing, present % 3, 2 + present).astype(np.int32),
        is_thing=is_thing,
        scores=rng.random(count, dtype=np.float32),
        areas=areas.astype(np.int32),
        boxes=_boxes(rng, count),
        detection_index=index,
        track_ids=np.where(index >= 0, index + 1, NO_TRACK).astype(np.int64),
    )
    return PanopticMap(ids=ids, segments=table, transform=Transform(1920 / width, 1080 / height, 0.0, 0.0))
