"""Detections, tracks and segments as tables of columns, and back."""

from __future__ import annotations

import numpy as np

from pipeline.messages import NO_TRACK, Detections, Int64, Segments, Tracks, TrackState
from pipeline.wire.columns import check_range, pack_column, unpack_column
from pipeline.wire.limits import Limits, check_count
from pipeline.wire.schema import DetectionTable, SegmentTable, TrackTable

LARGEST_SEGMENT_ID = 2**16 - 1  # ids of a map are 16 bits wide
LARGEST_TRACK_ID = 2**63 - 1


def pack_detections(detections: Detections, track_ids: Int64 | None) -> DetectionTable:
    """The table; without track ids where there are none to tell."""
    return DetectionTable(
        count=len(detections),
        box=pack_column(detections.boxes, "<f4"),
        label=pack_column(detections.labels, "<i4"),
        score=pack_column(detections.scores, "<f4"),
        raw_score=pack_column(detections.raw_scores, "<f4"),
        track_id=None if track_ids is None else pack_column(track_ids, "<i8"),
    )


def unpack_detections(table: DetectionTable, *, classes: int, limits: Limits) -> tuple[Detections, Int64]:
    """Detections and their track ids. Raises `WireError`."""
    n = table.count
    check_count("detections", n, limits.detections)
    detections = Detections(
        boxes=unpack_column("detections.box", table.box, "<f4", n, 4),
        labels=unpack_column("detections.label", table.label, "<i4", n),
        scores=unpack_column("detections.score", table.score, "<f4", n),
        raw_scores=unpack_column("detections.raw_score", table.raw_score, "<f4", n),
    )
    if table.track_id is None:
        track_ids = np.full(n, NO_TRACK, dtype=np.int64)
    else:
        track_ids = unpack_column("detections.track_id", table.track_id, "<i8", n)
    check_detections(detections, track_ids, classes=classes)
    return detections, track_ids


def check_detections(detections: Detections, track_ids: Int64, *, classes: int) -> None:
    """Raises `WireError` where a value points at nothing."""
    check_range("detections.label", detections.labels, 0, classes - 1)
    check_range("detections.track_id", track_ids, NO_TRACK, LARGEST_TRACK_ID)


def pack_tracks(tracks: Tracks) -> TrackTable:
    """The table."""
    return TrackTable(
        count=len(tracks),
        id=pack_column(tracks.ids, "<i8"),
        box=pack_column(tracks.boxes, "<f4"),
        label=pack_column(tracks.labels, "<i4"),
        score=pack_column(tracks.scores, "<f4"),
        state=pack_column(tracks.states, "|u1"),
        detection_index=pack_column(tracks.detection_index, "<i4"),
    )


def unpack_tracks(table: TrackTable, *, classes: int, detections: int, limits: Limits) -> Tracks:
    """The tracks; `detections` is how many their indices may point at. Raises `WireError`."""
    m = table.count
    check_count("tracks", m, limits.tracks)
    tracks = Tracks(
        ids=unpack_column("tracks.id", table.id, "<i8", m),
        boxes=unpack_column("tracks.box", table.box, "<f4", m, 4),
        labels=unpack_column("tracks.label", table.label, "<i4", m),
        scores=unpack_column("tracks.score", table.score, "<f4", m),
        states=unpack_column("tracks.state", table.state, "|u1", m),
        detection_index=unpack_column("tracks.detection_index", table.detection_index, "<i4", m),
    )
    check_tracks(tracks, classes=classes, detections=detections)
    return tracks


def check_tracks(tracks: Tracks, *, classes: int, detections: int) -> None:
    """Raises `WireError` where a value points at nothing."""
    check_range("tracks.id", tracks.ids, 1, LARGEST_TRACK_ID)
    check_range("tracks.label", tracks.labels, 0, classes - 1)
    check_range("tracks.state", tracks.states, min(TrackState), max(TrackState))
    check_range("tracks.detection_index", tracks.detection_index, -1, detections - 1)


def pack_segments(segments: Segments, *, with_detection_index: bool) -> SegmentTable:
    """The table, with the column that points at detections if those travel."""
    index = pack_column(segments.detection_index, "<i4") if with_detection_index else None
    return SegmentTable(
        count=len(segments),
        id=pack_column(segments.ids, "<i4"),
        label=pack_column(segments.labels, "<i4"),
        is_thing=pack_column(segments.is_thing, "|u1"),
        score=pack_column(segments.scores, "<f4"),
        area=pack_column(segments.areas, "<i4"),
        box=pack_column(segments.boxes, "<f4"),
        track_id=pack_column(segments.track_ids, "<i8"),
        detection_index=index,
    )


def unpack_segments(table: SegmentTable, *, classes: int, detections: int, limits: Limits) -> Segments:
    """The segment table; `detections` is how many its indices may point at. Raises `WireError`."""
    s = table.count
    check_count("segments", s, limits.segments)
    if table.detection_index is None:
        index = np.full(s, -1, dtype=np.int32)
    else:
        index = unpack_column("segments.detection_index", table.detection_index, "<i4", s)
    is_thing = unpack_column("segments.is_thing", table.is_thing, "|u1", s)
    check_range("segments.is_thing", is_thing, 0, 1)
    segments = Segments(
        ids=unpack_column("segments.id", table.id, "<i4", s),
        labels=unpack_column("segments.label", table.label, "<i4", s),
        is_thing=is_thing.astype(bool),
        scores=unpack_column("segments.score", table.score, "<f4", s),
        areas=unpack_column("segments.area", table.area, "<i4", s),
        boxes=unpack_column("segments.box", table.box, "<f4", s, 4),
        detection_index=index,
        track_ids=unpack_column("segments.track_id", table.track_id, "<i8", s),
    )
    check_segments(segments, classes=classes, detections=detections)
    return segments


def check_segments(segments: Segments, *, classes: int, detections: int) -> None:
    """Raises `WireError` where a value points at nothing."""
    check_range("segments.id", segments.ids, 1, LARGEST_SEGMENT_ID)
    check_range("segments.label", segments.labels, 0, classes - 1)
    check_range("segments.area", segments.areas, 0, 2**31 - 1)
    check_range("segments.detection_index", segments.detection_index, -1, detections - 1)
    check_range("segments.track_id", segments.track_ids, NO_TRACK, LARGEST_TRACK_ID)
