"""Savant's `VideoFrame`, with the field names of its messages (savant-rs, protocol of version 1).

Boxes are centre and size in pixels of the source picture, without an angle. An object's id is its row in the
detections, its namespace the model's name. `creation_timestamp_ns` is the time of capture. What frames are compressed
with, `framerate` and `duration` are not known here: null, and ``0/1``, which means variable.
"""

from __future__ import annotations

from typing import Any

from pipeline.messages import NO_TRACK, FrameResult
from pipeline.wire.json_form import SCORE_DECIMALS, rounded
from stages.publish.formats.boxes import Centred, centred
from stages.publish.formats.identity import name_of, uuid_of


def to_savant(result: FrameResult) -> dict[str, Any]:
    """The result as a `VideoFrame`."""
    return {
        "type": "VideoFrame",
        "source_id": result.source_id,
        "uuid": uuid_of(name_of(result)),
        "creation_timestamp_ns": result.capture_time_ns,
        "framerate": "0/1",
        "width": result.width,
        "height": result.height,
        "codec": None,
        "keyframe": None,
        "time_base": [result.time_base.numerator, result.time_base.denominator],
        "pts": result.pts,
        "dts": None,
        "duration": None,
        "attributes": [],
        "objects": _objects(result),
    }


def _objects(result: FrameResult) -> list[dict[str, Any]]:
    found = result.detections
    track_boxes = dict(zip(result.tracks.ids.tolist(), map(_box, centred(result.tracks.boxes)), strict=True))
    rows = zip(
        map(_box, centred(found.boxes)),
        found.labels.tolist(),
        rounded(found.scores, SCORE_DECIMALS),
        result.track_ids.tolist(),
        strict=True,
    )
    return [
        {
            "id": row,
            "parent_id": None,
            "namespace": result.model.name,
            "label": result.class_name(label),
            "draw_label": None,
            "detection_box": box,
            "confidence": score,
            "track_id": None if track == NO_TRACK else track,
            "track_box": track_boxes.get(track),
            "attributes": [],
        }
        for row, (box, label, score, track) in enumerate(rows)
    ]


def _box(centre: Centred) -> dict[str, float | None]:
    xc, yc, width, height = centre
    return {"xc": xc, "yc": yc, "width": width, "height": height, "angle": None}
