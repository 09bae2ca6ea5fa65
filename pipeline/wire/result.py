"""A `FrameResult` as bytes and back, whole or of one kind."""

from __future__ import annotations

from functools import lru_cache
from math import isfinite

import msgspec
import numpy as np

from pipeline.errors import WireError
from pipeline.messages import (
    NO_TRACK,
    Classes,
    Detections,
    FrameResult,
    Int64,
    PanopticMap,
    Polygons,
    Segments,
    Timings,
    Tracks,
    Transform,
)
from pipeline.wire.assemble import assemble
from pipeline.wire.forms import pack_form, unpack_ids, unpack_polygons
from pipeline.wire.idmap import UInt16, UInt32, compress_runs, decompress_runs, expand_runs
from pipeline.wire.limits import DEFAULT_LIMITS, Limits, check_area, check_count
from pipeline.wire.schema import (
    ClassesPart,
    ModelPart,
    PanopticPart,
    ResultRecord,
    SegmentTable,
    TimingsPart,
    pack,
    unpack,
)
from pipeline.wire.tables import (
    pack_detections,
    pack_segments,
    pack_tracks,
    unpack_detections,
    unpack_segments,
    unpack_tracks,
)
from pipeline.wire.topics import MASK_FORMS, MaskForm, ResultKind

WITH_DETECTIONS = ("boxes", "tracks", "all")
WITH_TRACKS = ("tracks", "all")
WITH_PANOPTIC = ("masks", "all", *MASK_FORMS)


def encode_result(result: FrameResult, kind: ResultKind | MaskForm = "all") -> bytes:
    """The payload of one kind, or of the masks in another form.

    `gap_before` is not part of it: it stands in the header, where the publisher puts it.

    Raises:
        ValueError: the id map holds an id that its segment table lacks.
    """
    return pack(_record(result, kind))


def decode_result(data: bytes | memoryview, *, gap_before: int = 0, limits: Limits = DEFAULT_LIMITS) -> FrameResult:
    """The result; what its kind leaves out is empty. Arrays are writable and do not keep `data` alive.

    Raises:
        WireError: anything but a result within `limits`.
    """
    record = unpack(data, ResultRecord, limits)
    check_area("picture", record.width, record.height, limits.picture_pixels)
    classes = _classes_of(bytes(record.classes), limits)
    detections, track_ids = _detections_of(record, len(classes.names), limits)
    panoptic, polygons = _masks_of(record, len(classes.names), len(detections), limits)
    return assemble(
        record,
        classes=classes,
        detections=detections,
        track_ids=track_ids,
        tracks=_tracks_of(record, len(classes.names), len(detections), limits),
        panoptic=panoptic,
        polygons=polygons,
        gap_before=gap_before,
        timings=timings_of(record.timings, limits),
    )


def pack_panoptic(panoptic: PanopticMap, segments: SegmentTable) -> PanopticPart:
    """The coded map, with its table as it is packed. Raises `ValueError` if it holds an id that its table lacks."""
    t = panoptic.transform
    return PanopticPart(
        width=panoptic.width,
        height=panoptic.height,
        transform=(float(t.scale_x), float(t.scale_y), float(t.offset_x), float(t.offset_y)),
        id_map=memoryview(compress_runs(*_known_runs(panoptic))),
        segments=segments,
    )


def _known_runs(panoptic: PanopticMap) -> tuple[UInt32, UInt16]:
    lengths, values = panoptic.runs()
    unknown = _unknown_ids(values, panoptic.segments)
    if unknown:
        raise ValueError(f"PanopticMap.ids holds {unknown[:5]}, which its segment table {panoptic.segments!r} lacks")
    return lengths, values


def unpack_map(width: int, height: int, id_map: bytes | memoryview, segments: Segments, limits: Limits) -> UInt16:
    """The id map [height, width], every id of it in the table or 0. Raises `WireError`."""
    lengths, values = decompress_runs(id_map, width=width, height=height, limits=limits)
    unknown = _unknown_ids(values, segments)
    if unknown:
        raise WireError(f"id map: ids {unknown[:5]} are not in the segment table")
    return expand_runs(lengths, values, width=width, height=height)


def check_transform(scale_x: float, scale_y: float, offset_x: float, offset_y: float) -> Transform:
    """The transform. Raises `WireError` unless it can be applied and inverted."""
    if not all(map(isfinite, (scale_x, scale_y, offset_x, offset_y))) or scale_x <= 0 or scale_y <= 0:
        given = (scale_x, scale_y, offset_x, offset_y)
        raise WireError(f"panoptic.transform: {given}; finite numbers, scales above 0, are needed")
    return Transform(scale_x, scale_y, offset_x, offset_y)


def timings_of(part: TimingsPart | None, limits: Limits) -> Timings | None:
    """The timings a record holds, if it does. Raises `WireError`."""
    if part is None:
        return None
    check_count("timings.stage_ms", len(part.stage_ms), limits.words)
    return Timings(part.batch_size, part.wait_ms, part.stage_ms, part.latency_ms)


def _record(result: FrameResult, kind: ResultKind | MaskForm) -> ResultRecord:
    panoptic = result.panoptic if kind in WITH_PANOPTIC else None
    return ResultRecord(
        kind=kind,
        source_id=result.source_id,
        epoch=result.epoch,
        seq=result.seq,
        pts=result.pts,
        time_base=(result.time_base.numerator, result.time_base.denominator),
        capture_time_ns=result.capture_time_ns,
        clock=result.clock,
        width=result.width,
        height=result.height,
        analysed=result.analysed,
        discontinuity=result.discontinuity,
        classes=classes_bytes(result.classes),
        model=ModelPart(name=result.model.name, version=result.model.version),
        detections=pack_detections(result.detections, result.track_ids if kind in WITH_TRACKS else None)
        if kind in WITH_DETECTIONS
        else None,
        tracks=pack_tracks(result.tracks) if kind in WITH_TRACKS else None,
        panoptic=None if panoptic is None else _panoptic_part(panoptic, kind),
        timings=_timings_part(result.timings),
    )


def _detections_of(record: ResultRecord, classes: int, limits: Limits) -> tuple[Detections, Int64]:
    if record.detections is None:
        return Detections.empty(), np.full(0, NO_TRACK, dtype=np.int64)
    return unpack_detections(record.detections, classes=classes, limits=limits)


def _tracks_of(record: ResultRecord, classes: int, detections: int, limits: Limits) -> Tracks:
    if record.tracks is None:
        return Tracks.empty()
    return unpack_tracks(record.tracks, classes=classes, detections=detections, limits=limits)


def _panoptic_part(panoptic: PanopticMap, kind: ResultKind | MaskForm) -> PanopticPart:
    if kind in MASK_FORMS:
        return pack_form(panoptic, kind)
    return pack_panoptic(panoptic, pack_segments(panoptic.segments, with_detection_index=kind == "all"))


def _masks_of(
    record: ResultRecord, classes: int, detections: int, limits: Limits
) -> tuple[PanopticMap | None, Polygons | None]:
    """The map, or the polygons, whichever the record has."""
    part = record.panoptic
    if part is None:
        return None, None
    transform = check_transform(*part.transform)
    segments = unpack_segments(part.segments, classes=classes, detections=detections, limits=limits)
    polygons = unpack_polygons(part, segments, transform, limits)
    if polygons is not None:
        return None, polygons
    if part.id_map is not None:
        ids = unpack_map(part.width, part.height, part.id_map, segments, limits)
    else:
        ids = unpack_ids(part, segments, limits)
    return PanopticMap(ids=ids, segments=segments, transform=transform), None


def _unknown_ids(values: UInt16, segments: Segments) -> list[int]:
    if _numbered_through(segments) and int(values.max(initial=0)) <= len(segments):
        return []
    known = np.zeros(1 + max(int(values.max(initial=0)), int(segments.ids.max(initial=0))), dtype=bool)
    known[0] = True
    known[segments.ids] = True
    return [] if known[values].all() else [int(i) for i in np.unique(values[~known[values]])]


def _numbered_through(segments: Segments) -> bool:
    """Whether its ids are 1, 2, 3, ..., as those of a merge are."""
    ids, count = segments.ids, len(segments)
    return not count or (int(ids[-1]) == count and bool((ids == np.arange(1, count + 1)).all()))


@lru_cache(maxsize=64)
def classes_bytes(classes: Classes) -> msgspec.Raw:
    """The label space as bytes, the same for every frame."""
    return msgspec.Raw(pack(ClassesPart(things=classes.things, stuff=classes.stuff)))


@lru_cache(maxsize=64)
def _classes_of(data: bytes, limits: Limits) -> Classes:
    part = unpack(data, ClassesPart, limits)
    check_count("classes", len(part.things) + len(part.stuff), limits.classes)
    return Classes(things=part.things, stuff=part.stuff)


def _timings_part(timings: Timings | None) -> TimingsPart | None:
    if timings is None:
        return None
    return TimingsPart(
        batch_size=timings.batch_size,
        wait_ms=float(timings.wait_ms),
        stage_ms={stage: float(value) for stage, value in timings.stage_ms.items()},
        latency_ms=None if timings.latency_ms is None else float(timings.latency_ms),
    )
