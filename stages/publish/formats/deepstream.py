"""DeepStream's minimal message: one for each frame, an object a line of fields between bars.

``trackId|left|top|right|bottom|type|#|||||||confidence``: the six fields after ``#`` are for secondary classifiers and
stay empty. A box without a track has DeepStream's number for that. Numbers have six digits, as its messages do.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from pipeline.messages import NO_TRACK, FrameResult

VERSION: Final = "4.0"  # of the schema
UNTRACKED: Final = 2**64 - 1
NO_CLASSIFIERS: Final = "#||||||"


def to_deepstream(result: FrameResult) -> dict[str, Any]:
    """The result as a message of the minimal schema; its id is `seq`, as DeepStream's is the frame's number."""
    found = result.detections
    rows = zip(
        result.track_ids.tolist(), found.boxes.tolist(), found.labels.tolist(), found.scores.tolist(), strict=True
    )
    return {
        "version": VERSION,
        "id": str(result.seq),
        "@timestamp": _timestamp(result.capture_time_ns),
        "sensorId": result.source_id,
        "objects": [_object(track, box, result.class_name(label), score) for track, box, label, score in rows],
    }


def _object(track: int, box: list[float], name: str, score: float) -> str:
    track_id = UNTRACKED if track == NO_TRACK else track
    place = "|".join(f"{value:.6g}" for value in box)
    return f"{track_id}|{place}|{name.replace('|', '_')}|{NO_CLASSIFIERS}|{score:.6g}"


def _timestamp(time_ns: int) -> str:
    """RFC 3339 with milliseconds, cut and not rounded: a frame is never later than it was."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03}Z"
