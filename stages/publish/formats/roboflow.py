"""The answer of Roboflow's inference server to a picture: a prediction a box, its centre and size in pixels.

With masks it is the answer for instance segmentation: `points` is the outline of a box's mask, in pixels of the source
picture, of its largest part where it has several; none where the box has no mask. `inference_id` is the result's
identity, ``source_id/epoch/seq``, and `frame_id` its `seq`. A box with a track has its `tracker_id`. What the network
took is left out: equal results give equal lines.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.messages import NO_TRACK, Float32, FrameResult, PanopticMap
from pipeline.wire.json_form import BOX_DECIMALS, SCORE_DECIMALS, rounded
from pipeline.wire.polygons import trace
from stages.publish.formats.boxes import centred
from stages.publish.formats.identity import name_of, uuid_of


def to_roboflow(result: FrameResult) -> dict[str, Any]:
    """The result as an `ObjectDetectionInferenceResponse`, or an `InstanceSegmentationInferenceResponse`."""
    return {
        "inference_id": name_of(result),
        "frame_id": result.seq,
        "image": {"width": result.width, "height": result.height},
        "predictions": _predictions(result),
    }


def _predictions(result: FrameResult) -> list[dict[str, Any]]:
    found, name = result.detections, name_of(result)
    outlines = None if result.panoptic is None else _outlines(result.panoptic)
    rows = zip(
        centred(found.boxes),
        found.labels.tolist(),
        rounded(found.scores, SCORE_DECIMALS),
        result.track_ids.tolist(),
        strict=True,
    )
    return [
        {
            "x": x,
            "y": y,
            "width": width,
            "height": height,
            "confidence": score,
            "class": result.class_name(label),
            "class_id": label,
            "detection_id": uuid_of(f"{name}/{row}"),
        }
        | ({} if outlines is None else {"points": outlines.get(row, [])})
        | ({} if track == NO_TRACK else {"tracker_id": track})
        for row, ((x, y, width, height), label, score, track) in enumerate(rows)
    ]


def _outlines(panoptic: PanopticMap) -> dict[int, list[dict[str, float]]]:
    """The outline of each detection that has a mask, by its row."""
    polygons = trace(panoptic)
    outlines = {}
    for segment_id, row in zip(panoptic.segments.ids.tolist(), panoptic.segments.detection_index.tolist(), strict=True):
        rings = polygons.of(segment_id) if row >= 0 else []
        if rings:
            largest = max(rings, key=_area)
            outlines[row] = [{"x": x, "y": y} for x, y in rounded(largest, BOX_DECIMALS)]
    return outlines


def _area(ring: Float32) -> float:
    """What a ring [p, 2] encloses, by the shoelace formula."""
    x, y = ring.astype(np.float64).T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
