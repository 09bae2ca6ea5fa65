"""The JSON form back to results, gaps and statuses."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, cast

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.errors import WireError
from pipeline.messages import (
    NO_TRACK,
    Classes,
    Detections,
    FrameResult,
    Gap,
    Int32,
    Int64,
    Item,
    LeftReason,
    PanopticMap,
    Picture,
    Polygons,
    Segments,
    SourceStatus,
    Tracks,
    ZoneEvent,
    ZoneEventType,
)
from pipeline.wire.assemble import assemble
from pipeline.wire.json_form import STATE_WORDS
from pipeline.wire.json_schema import (
    DetectionRow,
    EventObject,
    PanopticObject,
    PolygonsObject,
    ResultObject,
    SeenRow,
    SegmentRow,
    TracksObject,
)
from pipeline.wire.limits import DEFAULT_LIMITS, Limits, check_area, check_count
from pipeline.wire.picture import picture_of
from pipeline.wire.records import gap_of, status_of
from pipeline.wire.result import check_transform, timings_of, unpack_map
from pipeline.wire.schema import FrameRecord, GapRecord, StatusRecord, check_version
from pipeline.wire.tables import check_detections, check_segments, check_tracks

STATES = {word: state for state, word in STATE_WORDS.items()}

Read = TypeVar("Read", ResultObject, TracksObject, EventObject, GapRecord, StatusRecord, FrameRecord)

_LINES = msgspec.json.Decoder(TracksObject | GapRecord)


def item_from_json(values: Any, *, limits: Limits = DEFAULT_LIMITS) -> Item:
    """What `item_to_json` gave; ``type`` says which. Raises `WireError` for anything else."""
    kind = values.get("type") if isinstance(values, dict) else None
    if kind == "result":
        return result_from_json(values, limits=limits)
    if kind == "gap":
        return gap_from_json(values)
    if kind == "status":
        return status_from_json(values, limits=limits)
    if kind == "frame":
        return picture_from_json(values, limits=limits)
    if kind == "event":
        return event_from_json(values)
    raise WireError(f"type: {str(kind)[:80]!r}; an object whose type is result, gap, status, frame or event is needed")


def result_from_json(values: Any, *, limits: Limits = DEFAULT_LIMITS) -> FrameResult:
    """The result; numbers are as rounded as they stand. Raises `WireError`."""
    record = _converted(values, ResultObject)
    check_area("picture", record.width, record.height, limits.picture_pixels)
    classes = Classes(record.classes.things, record.classes.stuff)
    check_count("classes", len(classes.names), limits.classes)
    detections, track_ids = _detections(record.detections, len(classes.names), limits)
    index = _integers((_index(row.detection_index) for row in record.tracks), np.int32)
    return assemble(
        record,
        classes=classes,
        detections=detections,
        track_ids=track_ids,
        tracks=_tracks(record.tracks, index, len(classes.names), len(detections), limits),
        panoptic=_panoptic(record.panoptic, len(classes.names), len(detections), limits),
        polygons=_polygons(record.polygons, len(classes.names), len(detections), limits),
        gap_before=record.gap_before,
        timings=timings_of(record.timings, limits),
    )


def tracks_from_line(line: bytes, *, limits: Limits = DEFAULT_LIMITS) -> FrameResult | Gap | None:
    """A line of `results.jsonl`, of a result the tracks alone: three times as fast. None for what is neither.

    Raises `WireError`.
    """
    try:
        record = _LINES.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        values = _plain(line)
        kind = values.get("type") if isinstance(values, dict) else None
        if kind in ("status", "frame", "event"):
            return None
        if kind == "gap":  # tell what is wrong, the version first
            _converted(values, GapRecord)
        _converted(values, TracksObject)
        raise WireError(f"not a result: {exc}") from exc
    check_version(record.schema)
    if isinstance(record, GapRecord):
        return gap_of(record)
    check_area("picture", record.width, record.height, limits.picture_pixels)
    classes = Classes(record.classes.things, record.classes.stuff)
    check_count("classes", len(classes.names), limits.classes)
    nowhere = np.full(len(record.tracks), -1, dtype=np.int32)
    return assemble(
        record,
        classes=classes,
        detections=Detections.empty(),
        track_ids=np.zeros(0, dtype=np.int64),
        tracks=_tracks(record.tracks, nowhere, len(classes.names), 0, limits),
        panoptic=None,
        polygons=None,
        gap_before=record.gap_before,
        timings=None,
    )


def _plain(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        raise WireError(f"not JSON: {exc}") from exc


def gap_from_json(values: Any) -> Gap:
    """The gap. Raises `WireError`."""
    return gap_of(_converted(values, GapRecord))


def status_from_json(values: Any, *, limits: Limits = DEFAULT_LIMITS) -> SourceStatus:
    """The status. Raises `WireError`."""
    return status_of(_converted(values, StatusRecord), limits)


def picture_from_json(values: Any, *, limits: Limits = DEFAULT_LIMITS) -> Picture:
    """The picture. Raises `WireError`."""
    return picture_of(_converted(values, FrameRecord), limits)


def event_from_json(values: Any) -> ZoneEvent:
    """The event. Raises `WireError`."""
    record = _converted(values, EventObject)
    place = record.line or record.zone
    if not place:
        raise WireError("event: neither line nor zone is named")
    return ZoneEvent(
        type=cast(ZoneEventType, record.event),
        source_id=record.source_id,
        epoch=record.epoch,
        seq=record.seq,
        number=record.number,
        time_ns=record.time_ns,
        place=place,
        track_id=record.track_id,
        class_name=record.class_name,
        score=record.score,
        box=record.box,
        direction=record.direction,
        entered_time_ns=record.entered_time_ns,
        left_time_ns=record.left_time_ns,
        reason=cast("LeftReason | None", record.reason),
        occupancy=record.occupancy,
    )


def _detections(rows: tuple[DetectionRow, ...], classes: int, limits: Limits) -> tuple[Detections, Int64]:
    check_count("detections", len(rows), limits.detections)
    detections = Detections(
        boxes=_floats((row.box for row in rows), 4),
        labels=_integers((row.label for row in rows), np.int32),
        scores=_floats(row.score for row in rows),
        raw_scores=_floats(row.raw_score for row in rows),
    )
    track_ids = _integers((NO_TRACK if row.track_id is None else row.track_id for row in rows), np.int64)
    check_detections(detections, track_ids, classes=classes)
    return detections, track_ids


def _tracks(rows: Sequence[SeenRow], index: Int32, classes: int, detections: int, limits: Limits) -> Tracks:
    check_count("tracks", len(rows), limits.tracks)
    tracks = Tracks(
        ids=_integers((row.id for row in rows), np.int64),
        boxes=_floats((row.box for row in rows), 4),
        labels=_integers((row.label for row in rows), np.int32),
        scores=_floats(row.score for row in rows),
        states=_integers((STATES[row.state] for row in rows), np.uint8),
        detection_index=index,
    )
    check_tracks(tracks, classes=classes, detections=detections)
    return tracks


def _segments(rows: Sequence[SegmentRow], classes: int, detections: int, limits: Limits) -> Segments:
    check_count("segments", len(rows), limits.segments)
    segments = Segments(
        ids=_integers((row.id for row in rows), np.int32),
        labels=_integers((row.label for row in rows), np.int32),
        is_thing=_integers((row.is_thing for row in rows), np.bool_),
        scores=_floats(row.score for row in rows),
        areas=_integers((row.area for row in rows), np.int32),
        boxes=_floats((row.box for row in rows), 4),
        detection_index=_integers((_index(row.detection_index) for row in rows), np.int32),
        track_ids=_integers((NO_TRACK if row.track_id is None else row.track_id for row in rows), np.int64),
    )
    check_segments(segments, classes=classes, detections=detections)
    return segments


def _panoptic(part: PanopticObject | None, classes: int, detections: int, limits: Limits) -> PanopticMap | None:
    if part is None:
        return None
    try:
        coded = base64.b64decode(part.id_map, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise WireError(f"panoptic.id_map: not base64: {exc}") from exc
    transform = check_transform(*part.transform)
    segments = _segments(part.segments, classes, detections, limits)
    return PanopticMap(unpack_map(part.width, part.height, coded, segments, limits), segments, transform)


def _polygons(part: PolygonsObject | None, classes: int, detections: int, limits: Limits) -> Polygons | None:
    if part is None:
        return None
    check_area("polygons", part.width, part.height, limits.picture_pixels)
    rings = [(row.id, ring) for row in part.segments for ring in row.rings]
    if any(len(ring) < 3 for _, ring in rings):
        raise WireError("polygons: a ring of fewer than 3 points")
    return Polygons(
        segments=_segments(part.segments, classes, detections, limits),
        width=part.width,
        height=part.height,
        transform=check_transform(*part.transform),
        tolerance=part.tolerance,
        ids=_integers((id_ for id_, _ in rings), np.int32),
        counts=_integers((len(ring) for _, ring in rings), np.int32),
        points=_floats((point for _, ring in rings for point in ring), 2),
    )


def _index(index: int | None) -> int:
    return -1 if index is None else index


def _integers(values: Iterable[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """[n], every value checked against the type's range when the object was read."""
    return np.array(list(values), dtype=dtype)


def _floats(values: Iterable[Any], columns: int = 1) -> npt.NDArray[np.float32]:
    """[n] or [n, columns]; null reads as NaN, what 32 bits cannot hold as infinite."""
    wide = np.array(list(values), dtype=np.float64)  # None converts to NaN
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    return narrow if columns == 1 else narrow.reshape(-1, columns)


def _converted(values: Any, record: type[Read]) -> Read:
    try:
        converted = msgspec.convert(values, record)
    except (msgspec.ValidationError, RecursionError) as exc:
        schema = values.get("schema") if isinstance(values, dict) else None
        if isinstance(schema, str):
            check_version(schema)
        tag = str(record.__struct_config__.tag)
        raise WireError(f"not {'an' if tag.startswith('e') else 'a'} {tag}: {exc}") from exc
    check_version(converted.schema)
    return converted
