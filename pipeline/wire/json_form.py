"""Results, gaps and statuses as plain dictionaries, ready for a line of JSON: the wire's field names, for people.

A table is a list of objects instead of columns; each object names its class. Boxes are rounded to hundredths of a
pixel, scores to four decimals; what is not a number is null, and so is the track of a detection without one. The id
map is the wire's own bytes in base64. Equal results give equal dictionaries, in the same order; timings, which vary
from run to run, are left out unless asked for.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from pipeline.messages import (
    Detections,
    FrameResult,
    Gap,
    Int64,
    Item,
    PanopticMap,
    Picture,
    Polygons,
    Segments,
    SourceStatus,
    Timings,
    Tracks,
    TrackState,
    ZoneEvent,
)
from pipeline.wire.idmap import encode_id_map
from pipeline.wire.schema import SCHEMA_VERSION

BOX_DECIMALS = 2
SCORE_DECIMALS = 4
MILLISECOND_DECIMALS = 3

STATE_WORDS = {state: state.name.lower() for state in TrackState}


def item_to_json(item: Item, *, timings: bool = False) -> dict[str, Any]:
    """A result, gap, status, picture or event as a dictionary; ``type`` says which."""
    if isinstance(item, FrameResult):
        return result_to_json(item, timings=timings)
    if isinstance(item, Gap):
        return gap_to_json(item)
    if isinstance(item, ZoneEvent):
        return event_to_json(item)
    return picture_to_json(item) if isinstance(item, Picture) else status_to_json(item)


def result_to_json(result: FrameResult, *, timings: bool = False) -> dict[str, Any]:
    """The result as a dictionary; with `timings`, also what varies from run to run."""
    names = result.classes.names
    values: dict[str, Any] = {
        "type": "result",
        "schema": SCHEMA_VERSION,
        "source_id": result.source_id,
        "epoch": result.epoch,
        "seq": result.seq,
        "gap_before": result.gap_before,
        "pts": result.pts,
        "time_base": [result.time_base.numerator, result.time_base.denominator],
        "capture_time_ns": result.capture_time_ns,
        "clock": result.clock,
        "width": result.width,
        "height": result.height,
        "analysed": result.analysed,
        "discontinuity": result.discontinuity,
        "model": {"name": result.model.name, "version": result.model.version},
        "classes": {"things": list(result.classes.things), "stuff": list(result.classes.stuff)},
        "detections": _detections(result.detections, result.track_ids, names),
        "tracks": _tracks(result.tracks, names),
        "panoptic": None if result.panoptic is None else _panoptic(result.panoptic, names),
    }
    if result.polygons is not None:
        values["polygons"] = _polygons(result.polygons, names)
    if timings and result.timings is not None:
        values["timings"] = _timings(result.timings)
    return values


def gap_to_json(gap: Gap) -> dict[str, Any]:
    """The gap as a dictionary."""
    return {"type": "gap", "schema": SCHEMA_VERSION, **asdict(gap)}


def picture_to_json(picture: Picture) -> dict[str, Any]:
    """The picture as a dictionary, its JPEG in base64."""
    return {
        "type": "frame",
        "schema": SCHEMA_VERSION,
        "source_id": picture.source_id,
        "epoch": picture.epoch,
        "seq": picture.seq,
        "pts": picture.pts,
        "time_base": [picture.time_base.numerator, picture.time_base.denominator],
        "capture_time_ns": picture.capture_time_ns,
        "clock": picture.clock,
        "width": picture.width,
        "height": picture.height,
        "jpeg_width": picture.jpeg_width,
        "jpeg_height": picture.jpeg_height,
        "jpeg": base64.b64encode(picture.jpeg).decode(),
    }


def status_to_json(status: SourceStatus) -> dict[str, Any]:
    """The status as a dictionary."""
    return {"type": "status", "schema": SCHEMA_VERSION, **asdict(status)}


def event_to_json(event: ZoneEvent) -> dict[str, Any]:
    """The event as a dictionary, without what its type does not tell."""
    told: dict[str, Any] = {
        "type": "event",
        "schema": SCHEMA_VERSION,
        "id": event.identity,
        "event": event.type,
        "source_id": event.source_id,
        "epoch": event.epoch,
        "seq": event.seq,
        "number": event.number,
        "time_ns": event.time_ns,
        "line" if event.type == "line_crossed" else "zone": event.place,
        "direction": event.direction,
        "track_id": event.track_id,
        "class_name": event.class_name,
        "score": event.score,
        "box": None if event.box is None else list(event.box),
        "entered_time_ns": event.entered_time_ns,
        "left_time_ns": event.left_time_ns,
        "dwell_seconds": event.dwell_seconds,
        "reason": event.reason,
        "occupancy": event.occupancy,
    }
    return {name: value for name, value in told.items() if value is not None}


def _detections(detections: Detections, track_ids: Int64, names: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"box": box, "label": label, "class_name": names[label], "score": score, "raw_score": raw, "track_id": track}
        for box, label, score, raw, track in zip(
            rounded(detections.boxes, BOX_DECIMALS),
            detections.labels.tolist(),
            rounded(detections.scores, SCORE_DECIMALS),
            rounded(detections.raw_scores, SCORE_DECIMALS),
            _or_null(track_ids),
            strict=True,
        )
    ]


def _tracks(tracks: Tracks, names: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "id": id_,
            "box": box,
            "label": label,
            "class_name": names[label],
            "score": score,
            "state": STATE_WORDS[TrackState(state)],
            "detection_index": index,
        }
        for id_, box, label, score, state, index in zip(
            tracks.ids.tolist(),
            rounded(tracks.boxes, BOX_DECIMALS),
            tracks.labels.tolist(),
            rounded(tracks.scores, SCORE_DECIMALS),
            tracks.states.tolist(),
            _or_null(tracks.detection_index),
            strict=True,
        )
    ]


def _panoptic(panoptic: PanopticMap, names: Sequence[str]) -> dict[str, Any]:
    t = panoptic.transform
    return {
        "width": panoptic.width,
        "height": panoptic.height,
        "transform": [float(t.scale_x), float(t.scale_y), float(t.offset_x), float(t.offset_y)],
        "id_map": base64.b64encode(encode_id_map(panoptic.ids)).decode(),
        "segments": _segments(panoptic.segments, names),
    }


def _polygons(polygons: Polygons, names: Sequence[str]) -> dict[str, Any]:
    t = polygons.transform
    rings: dict[int, list[Any]] = {}
    ends = np.cumsum(polygons.counts).tolist()
    points = rounded(polygons.points, BOX_DECIMALS)
    for id_, count, end in zip(polygons.ids.tolist(), polygons.counts.tolist(), ends, strict=True):
        rings.setdefault(id_, []).append(points[end - count : end])
    return {
        "width": polygons.width,
        "height": polygons.height,
        "transform": [float(t.scale_x), float(t.scale_y), float(t.offset_x), float(t.offset_y)],
        "tolerance": float(polygons.tolerance),
        "segments": [{**row, "rings": rings.get(row["id"], [])} for row in _segments(polygons.segments, names)],
    }


def _segments(segments: Segments, names: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "id": id_,
            "label": label,
            "class_name": names[label],
            "is_thing": is_thing,
            "score": score,
            "area": area,
            "box": box,
            "track_id": track,
            "detection_index": index,
        }
        for id_, label, is_thing, score, area, box, track, index in zip(
            segments.ids.tolist(),
            segments.labels.tolist(),
            segments.is_thing.tolist(),
            rounded(segments.scores, SCORE_DECIMALS),
            segments.areas.tolist(),
            rounded(segments.boxes, BOX_DECIMALS),
            _or_null(segments.track_ids),
            _or_null(segments.detection_index),
            strict=True,
        )
    ]


def _timings(timings: Timings) -> dict[str, Any]:
    def shown(value: float) -> float:
        return round(float(value), MILLISECOND_DECIMALS)

    return {
        "batch_size": timings.batch_size,
        "wait_ms": shown(timings.wait_ms),
        "stage_ms": {stage: shown(value) for stage, value in timings.stage_ms.items()},
        "latency_ms": None if timings.latency_ms is None else shown(timings.latency_ms),
    }


def rounded(values: npt.NDArray[Any], decimals: int) -> list[Any]:
    """Numbers, nested as the array is, rounded; null for what is not a finite number."""
    near = np.round(values.astype(np.float64), decimals) + 0.0  # + 0.0 makes -0.0 a plain 0.0
    finite = np.isfinite(near)
    if not finite.all():
        near = near.astype(object)
        near[~finite] = None
    return cast("list[Any]", near.tolist())


def _or_null(indices: npt.NDArray[Any]) -> list[int | None]:
    """Ids or row numbers, null for those below 0, which stand for none."""
    return [index if index >= 0 else None for index in indices.tolist()]
