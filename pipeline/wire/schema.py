"""The fields of every message, as msgpack maps. README.md beside this file is the specification.

A reader of version 1 reads every later 1.x: fields are only ever added, and what is not known is passed over. Words
(`clock`, `reason`, `state`) may gain members, so they are read as text.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from pipeline.errors import WireError
from pipeline.wire.limits import Limits
from pipeline.wire.topics import Kind, MaskForm, ResultKind

SCHEMA_VERSION = "1.0"
MAJOR = SCHEMA_VERSION.partition(".")[0]

MessageType = Literal["result", "gap", "status", "frame", "event"]

Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Count64 = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Number64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Epoch = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Pixels = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Text = Annotated[str, Meta(max_length=4096)]
Word = Annotated[str, Meta(max_length=64)]
Version = Annotated[str, Meta(max_length=16)]
SourceId = Annotated[str, Meta(pattern=r"\A(?!\.+\Z)[A-Za-z0-9._-]{1,64}\Z")]
ClassName = Annotated[str, Meta(max_length=256)]


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all parts of a message."""


class Header(Record, frozen=True, kw_only=True):
    """Second part of a ZeroMQ message: what the third part is, and its place in the stream."""

    schema: Version = msgspec.field(default_factory=lambda: SCHEMA_VERSION)  # a factory's value is never omitted
    type: MessageType
    kind: Kind
    session: Annotated[int, Meta(ge=0)]  # of the publisher: 64 random bits, new at every start
    number: Annotated[int, Meta(ge=1, le=2**63 - 1)]  # within topic and session, without holes as sent
    numbers: Count64 = 1  # that this message stands for, up to its own: a gap may stand for messages that were lost
    gap_before: Count = 0  # frames declared lost between the result before and this one
    publish_time_ns: Count64  # wall clock, handed to the socket


class DetectionTable(Record, frozen=True, kw_only=True):
    """Columns, one row a detection."""

    count: Count
    box: memoryview  # <f4 [N, 4]
    label: memoryview  # <i4 [N]
    score: memoryview  # <f4 [N]
    raw_score: memoryview  # <f4 [N]
    track_id: memoryview | None = None  # <i8 [N]


class TrackTable(Record, frozen=True, kw_only=True):
    """Columns, one row a track."""

    count: Count
    id: memoryview  # <i8 [M]
    box: memoryview  # <f4 [M, 4]
    label: memoryview  # <i4 [M]
    score: memoryview  # <f4 [M]
    state: memoryview  # u1 [M]
    detection_index: memoryview  # <i4 [M]


class SegmentTable(Record, frozen=True, kw_only=True):
    """Columns, one row a segment."""

    count: Count
    id: memoryview  # <i4 [S]
    label: memoryview  # <i4 [S]
    is_thing: memoryview  # u1 [S]
    score: memoryview  # <f4 [S]
    area: memoryview  # <i4 [S]
    box: memoryview  # <f4 [S, 4]
    track_id: memoryview  # <i8 [S]
    detection_index: memoryview | None = None  # <i4 [S]


class CropTable(Record, frozen=True, kw_only=True):
    """Masks within boxes of the map, one row a segment, and the run lengths of all of them."""

    count: Count
    box: memoryview  # <i4 [S, 4] left, top, width, height, pixels of the map
    runs: memoryview  # <i4 [S] how many of the lengths are this segment's
    lengths: memoryview  # zstd of four planes


class PolygonTable(Record, frozen=True, kw_only=True):
    """Outlines, one row a ring, and the points of all of them."""

    count: Count
    id: memoryview  # <i4 [R] of the segment
    points: memoryview  # <i4 [R] how many of the points are this ring's
    point: memoryview  # <f4 [P, 2] x, y in pixels of the source
    tolerance: float  # pixels of the map


class PanopticPart(Record, frozen=True, kw_only=True):
    """A segment table and, in one of four forms, which pixels each segment has."""

    width: Pixels
    height: Pixels
    transform: tuple[float, float, float, float]  # scale_x, scale_y, offset_x, offset_y
    id_map: memoryview | None = None
    segments: SegmentTable
    crops: CropTable | None = None
    polygons: PolygonTable | None = None
    coco: tuple[str, ...] | None = None  # one a segment


class ClassesPart(Record, frozen=True, kw_only=True):
    """The label space."""

    things: tuple[ClassName, ...]
    stuff: tuple[ClassName, ...] = ()


class ModelPart(Record, frozen=True, kw_only=True):
    """Which network."""

    name: Text
    version: Text


class TimingsPart(Record, frozen=True, kw_only=True):
    """What varies from run to run."""

    batch_size: Count
    wait_ms: float
    stage_ms: dict[Word, float] = {}
    latency_ms: float | None = None


class ResultRecord(Record, frozen=True, kw_only=True, tag_field="type", tag="result"):
    """A result, of one kind."""

    schema: Version = msgspec.field(default_factory=lambda: SCHEMA_VERSION)
    kind: ResultKind | MaskForm
    source_id: SourceId
    epoch: Epoch
    seq: Count64
    pts: Number64 | None = None
    time_base: tuple[Count64, Epoch]  # numerator, denominator
    capture_time_ns: Number64
    clock: Word
    width: Pixels
    height: Pixels
    analysed: bool = True
    discontinuity: bool = False
    classes: msgspec.Raw  # ClassesPart; the same bytes for every frame, so coded and read once
    model: ModelPart
    detections: DetectionTable | None = None
    tracks: TrackTable | None = None
    panoptic: PanopticPart | None = None
    timings: TimingsPart | None = None


class GapRecord(Record, frozen=True, kw_only=True, tag_field="type", tag="gap"):
    """Frames without a result."""

    schema: Version = msgspec.field(default_factory=lambda: SCHEMA_VERSION)
    source_id: SourceId
    epoch: Epoch
    first_seq: Count64
    last_seq: Count64
    reason: Word


class FrameRecord(Record, frozen=True, kw_only=True, tag_field="type", tag="frame"):
    """The picture of a frame."""

    schema: Version = msgspec.field(default_factory=lambda: SCHEMA_VERSION)
    source_id: SourceId
    epoch: Epoch
    seq: Count64
    pts: Number64 | None = None
    time_base: tuple[Count64, Epoch]
    capture_time_ns: Number64
    clock: Word
    width: Pixels
    height: Pixels
    jpeg_width: Pixels
    jpeg_height: Pixels
    jpeg: memoryview


class LatencyPart(Record, frozen=True, kw_only=True):
    """Milliseconds from arrival to hand-over."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


class StatusRecord(Record, frozen=True, kw_only=True, tag_field="type", tag="status"):
    """How a source is doing."""

    schema: Version = msgspec.field(default_factory=lambda: SCHEMA_VERSION)
    source_id: SourceId
    state: Word
    epoch: Count64
    message: Text = ""
    captured: Count64 = 0
    resulted: Count64 = 0
    dropped: dict[Word, Count64] = {}
    in_flight: Count64 = 0
    undecoded: Count64 = 0
    damaged: Count64 = 0
    width: Count = 0
    height: Count = 0
    codec: Word = ""
    frame_rate: float = 0.0
    epochs: Count64 = 0
    reconnects: Count64 = 0
    received_bytes: Count64 = 0
    last_frame_time_ns: Number64 = 0
    retry_in_seconds: float | None = None
    latency: LatencyPart | None = None
    expected_frames: Count64 | None = None
    ledger_violations: Count64 = 0


Part = TypeVar("Part", bound=msgspec.Struct)

_encoder = msgspec.msgpack.Encoder()


def pack(record: msgspec.Struct) -> bytes:
    """A record as msgpack."""
    return _encoder.encode(record)


def unpack(data: bytes | memoryview, part: type[Part], limits: Limits) -> Part:
    """Read one record. Raises `WireError` for anything else, and for more than `limits.message_bytes`."""
    if len(data) > limits.message_bytes:
        raise WireError(f"message of {len(data)} bytes; at most {limits.message_bytes} are accepted")
    try:
        record: Part = _decoder(part).decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        raise _refusal(data, part, exc) from exc
    check_version(getattr(record, "schema", SCHEMA_VERSION))
    return record


def check_version(schema: str) -> None:
    """Raises `WireError` for a version this reader does not read."""
    if schema.partition(".")[0] != MAJOR:
        raise WireError(f"schema version {schema!r}; this reader reads {MAJOR}.x")


@cache
def _decoder(part: type[Part]) -> msgspec.msgpack.Decoder[Part]:
    return msgspec.msgpack.Decoder(part)


class _Versioned(msgspec.Struct):
    schema: Version


def _refusal(data: bytes | memoryview, part: type[msgspec.Struct], exc: Exception) -> WireError:
    """What to tell: the version, where that is what is wrong."""
    try:
        check_version(msgspec.msgpack.decode(data, type=_Versioned).schema)
    except WireError as refused:
        return refused
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass  # not even a versioned message: the first fault says more
    return WireError(f"not a {part.__name__}: {exc}")
