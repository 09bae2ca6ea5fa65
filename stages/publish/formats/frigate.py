"""A track's event in the shape of Frigate's ``frigate/events``: its type, and the track before and after.

`id` is the start time and the track's identity, so that it is unique over restarts; times are seconds since 1970.
Boxes are whole pixels, ``x1 y1 x2 y2``. We look at the whole picture, so `region` is all of it; zones, snapshots, clips
and attributes there are none.
"""

from __future__ import annotations

from typing import Any, Final

from pipeline.wire.json_form import SCORE_DECIMALS
from stages.publish.events import TrackEvent, TrackSnapshot

TIME_DECIMALS: Final = 6


def to_frigate(event: TrackEvent) -> dict[str, Any]:
    """The event as Frigate's message."""
    before = _state(event.before)
    if event.type == "new":
        before["false_positive"] = True  # what Frigate says of a track that it had not told of
    return {"type": event.type, "before": before, "after": _state(event.after)}


def _state(track: TrackSnapshot) -> dict[str, Any]:
    left, top, right, bottom = (round(value) for value in track.box)
    width, height = right - left, bottom - top
    start_time = _seconds(track.start_time_ns)
    return {
        "id": f"{start_time:.6f}-{track.source_id}-{track.epoch}-{track.track_id}",
        "camera": track.source_id,
        "frame_time": _seconds(track.frame_time_ns),
        "snapshot": None,
        "label": track.label,
        "sub_label": None,
        "top_score": round(track.top_score, SCORE_DECIMALS),
        "false_positive": False,
        "start_time": start_time,
        "end_time": None if track.end_time_ns is None else _seconds(track.end_time_ns),
        "score": round(track.score, SCORE_DECIMALS),
        "box": [left, top, right, bottom],
        "area": width * height,
        "ratio": round(width / height, 2) if height else 0.0,
        "region": [0, 0, track.width, track.height],
        "active": not track.stationary,
        "stationary": track.stationary,
        "motionless_count": track.still_frames,
        "position_changes": track.moves,
        "current_zones": [],
        "entered_zones": [],
        "has_clip": False,
        "has_snapshot": False,
        "attributes": {},
        "current_attributes": [],
    }


def _seconds(time_ns: int) -> float:
    return round(time_ns / 1_000_000_000, TIME_DECIMALS)
