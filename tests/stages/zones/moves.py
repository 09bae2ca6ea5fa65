"""Results whose tracks are where a test puts them: boxes of 20 x 20 pixels, so that a margin of 0.1 is 2 pixels."""

from __future__ import annotations

from typing import Any

from pipeline.config.zones import ZonesConfig, parse_zones
from pipeline.messages import FrameResult, TrackState
from tests.stages.publish.scenes import PERSON, result, tracked

WIDTH, HEIGHT, SIZE = 320, 180, 20.0
STEP_NS = 40_000_000
START_NS = 1_700_000_000_000_000_000


def frame(
    seq: int,
    *places: tuple[int, tuple[float, float]],
    lost: tuple[int, ...] = (),
    labels: tuple[int, ...] | None = None,
    **changes: Any,
) -> FrameResult:
    """A result whose tracks (id, point) stand with the middle of their foot at the point."""
    states = [TrackState.LOST if track in lost else TrackState.CONFIRMED for track, _ in places]
    boxes = [(x - SIZE / 2, y - SIZE, x + SIZE / 2, y) for _, (x, y) in places]
    detections, table = tracked(
        boxes,
        ids=[track for track, _ in places],
        labels=list(labels) if labels else [PERSON] * len(places),
        states=states,
    )
    values = {"seq": seq, "pts": seq, "capture_time_ns": START_NS + seq * STEP_NS, **changes}
    return result(detections=detections, tracks=table, **values)


def zones(**values: Any) -> ZonesConfig:
    """A file's content, in pixels of the tests' picture."""
    return parse_zones({"coordinates": "pixels", "picture": [WIDTH, HEIGHT], **values})


LINE = {"name": "kerb", "points": [[100, 90], [200, 90]], "directions": ["down", "up"]}
SQUARE = {"name": "square", "points": [[100, 60], [200, 60], [200, 120], [100, 120]]}
