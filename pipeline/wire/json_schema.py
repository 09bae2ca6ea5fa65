"""The fields of the JSON form, as it is read: the wire's names, a list of objects for each table."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from pipeline.wire.schema import (
    ClassesPart,
    ClassName,
    Count,
    Count64,
    Epoch,
    ModelPart,
    Number64,
    Pixels,
    Record,
    SourceId,
    TimingsPart,
    Version,
    Word,
)

Number = float | None  # null: not a finite number
Box = tuple[Number, Number, Number, Number]
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
StateWord = Literal["tentative", "confirmed", "lost", "ended", "left"]


class DetectionRow(Record, frozen=True, kw_only=True):
    """One detection."""

    box: Box
    label: Int32
    score: Number
    raw_score: Number
    track_id: Count64 | None = None


class SeenRow(Record, frozen=True, kw_only=True):
    """One track, wherever it was detected."""

    id: Count64
    box: Box
    label: Int32
    score: Number
    state: StateWord


class TrackRow(SeenRow, frozen=True, kw_only=True):
    """One track."""

    detection_index: Count | None = None


class SegmentRow(Record, frozen=True, kw_only=True):
    """One segment."""

    id: Int32
    label: Int32
    is_thing: bool
    score: Number
    area: Int32
    box: Box
    track_id: Count64 | None = None
    detection_index: Count | None = None


class PanopticObject(Record, frozen=True, kw_only=True):
    """An id map and its segments."""

    width: Pixels
    height: Pixels
    transform: tuple[float, float, float, float]
    id_map: str  # base64
    segments: tuple[SegmentRow, ...]


class RingedSegmentRow(SegmentRow, frozen=True, kw_only=True):
    """One segment, and its outlines."""

    rings: tuple[tuple[tuple[Number, Number], ...], ...]


class PolygonsObject(Record, frozen=True, kw_only=True):
    """Segments as outlines."""

    width: Pixels
    height: Pixels
    transform: tuple[float, float, float, float]
    tolerance: float
    segments: tuple[RingedSegmentRow, ...]


class ResultHead(Record, frozen=True, kw_only=True):
    """What a line of a result tells beside what was found."""

    schema: Version
    source_id: SourceId
    epoch: Epoch
    seq: Count64
    gap_before: Count = 0
    pts: Number64 | None = None
    time_base: tuple[Count64, Epoch]
    capture_time_ns: Number64
    clock: Word
    width: Pixels
    height: Pixels
    analysed: bool = True
    discontinuity: bool = False
    model: ModelPart
    classes: ClassesPart


class ResultObject(ResultHead, frozen=True, kw_only=True, tag_field="type", tag="result"):
    """A result as it stands in a line of JSON."""

    detections: tuple[DetectionRow, ...] = ()
    tracks: tuple[TrackRow, ...] = ()
    panoptic: PanopticObject | None = None
    polygons: PolygonsObject | None = None
    timings: TimingsPart | None = None


class TracksObject(ResultHead, frozen=True, kw_only=True, tag_field="type", tag="result"):
    """What it tells of its tracks; its detections and masks, most of its bytes, are passed over."""

    tracks: tuple[SeenRow, ...] = ()


class EventObject(Record, frozen=True, kw_only=True, tag_field="type", tag="event"):
    """An event at a line or in a zone: the only form it has, on the wire and in files."""

    schema: Version
    event: Word
    source_id: SourceId
    epoch: Epoch
    seq: Count64
    number: Count
    time_ns: Number64
    line: Word | None = None
    zone: Word | None = None
    direction: Word | None = None
    track_id: Count64 | None = None
    class_name: ClassName | None = None
    score: float | None = None
    box: tuple[float, float, float, float] | None = None
    entered_time_ns: Number64 | None = None
    left_time_ns: Number64 | None = None
    reason: Word | None = None
    occupancy: Count | None = None
