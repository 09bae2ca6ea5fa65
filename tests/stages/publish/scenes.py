"""Results made by hand, for drawing and writing."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from pipeline.messages import (
    Classes,
    Detections,
    FrameResult,
    ModelInfo,
    PanopticMap,
    Segments,
    Surface,
    Timings,
    Tracks,
    TrackState,
    Transform,
    with_track_ids,
)

CLASSES = Classes(things=("person", "car"), stuff=("road", "sky"))
PERSON, CAR, ROAD, SKY = range(4)


def tracked(
    boxes: Sequence[Sequence[float]],
    *,
    ids: Sequence[int],
    labels: Sequence[int] | None = None,
    states: Sequence[TrackState] | None = None,
) -> tuple[Detections, Tracks]:
    """One detection a track, except where the track is lost."""
    count = len(boxes)
    state = np.array(states or [TrackState.CONFIRMED] * count, dtype=np.uint8)
    label = np.array(labels or [PERSON] * count, dtype=np.int32)
    box = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    seen = state != TrackState.LOST
    detections = Detections.of(box[seen], np.full(int(seen.sum()), 0.9, dtype=np.float32), label[seen])
    index = np.where(seen, np.cumsum(seen) - 1, -1).astype(np.int32)
    scores = np.full(count, 0.9, dtype=np.float32)
    return detections, Tracks(np.array(ids, dtype=np.int64), box, label, scores, state, index)


def result(
    *,
    width: int = 320,
    height: int = 180,
    detections: Detections | None = None,
    tracks: Tracks | None = None,
    panoptic: PanopticMap | None = None,
    pts: int | None = 0,
    **changes: Any,
) -> FrameResult:
    """A result of source ``door``, 25 frames a second, with nothing in it unless given."""
    detections = detections if detections is not None else Detections.empty()
    tracks = tracks if tracks is not None else Tracks.empty()
    ids = tracks.of_detections(len(detections))
    values: dict[str, Any] = {
        "source_id": "door",
        "epoch": 1,
        "seq": pts or 0,
        "pts": pts,
        "time_base": Fraction(1, 25),
        "capture_time_ns": 1_700_000_000_000_000_000 + (pts or 0) * 40_000_000,
        "clock": "recording",
        "width": width,
        "height": height,
        "classes": CLASSES,
        "model": ModelInfo("hand", "1"),
        "detections": detections,
        "track_ids": ids,
        "tracks": tracks,
        "panoptic": None if panoptic is None else with_track_ids(panoptic, ids),
        "timings": Timings(batch_size=1, wait_ms=1.5, stage_ms={"detect": 8.0}),
    }
    return FrameResult(**(values | changes))


def panoptic(
    ids: np.ndarray[Any, Any], things: Sequence[int], *, stuff: Sequence[int] = (), transform: Transform | None = None
) -> PanopticMap:
    """Segments 1... are stuff with labels `stuff`, those after them things with labels `things`, detection 0 first."""
    labels = np.array([*stuff, *things], dtype=np.int32)
    count, first = len(labels), len(stuff)
    rows = np.arange(count, dtype=np.int32)
    segments = Segments(
        ids=rows + 1,
        labels=labels,
        is_thing=rows >= first,
        scores=np.ones(count, dtype=np.float32),
        areas=np.array([np.count_nonzero(ids == row + 1) for row in rows], dtype=np.int32),
        boxes=np.zeros((count, 4), dtype=np.float32),
        detection_index=np.where(rows >= first, rows - first, -1).astype(np.int32),
        track_ids=np.full(count, -1, dtype=np.int64),
    )
    return PanopticMap(ids.astype(np.uint16), segments, transform or Transform())


def surface(width: int, height: int, *, grey: int = 120) -> Surface:
    """A flat grey YUV 4:2:0 picture."""
    half = ((height + 1) // 2, (width + 1) // 2)
    neutral = np.full(half, 128, dtype=np.uint8)
    return Surface("yuv420p", (np.full((height, width), grey, dtype=np.uint8), neutral, neutral))


def picture(width: int, height: int, *, grey: int = 120) -> np.ndarray[Any, Any]:
    """A flat grey RGB picture [height, width, 3]."""
    return np.full((height, width, 3), grey, dtype=np.uint8)
