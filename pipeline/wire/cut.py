"""One kind of a result cut from its payload of kind ``all``, without reading what is only handed on."""

from __future__ import annotations

from typing import TypeGuard

import msgspec
from msgspec import UNSET, Raw, UnsetType

from pipeline.errors import WireError
from pipeline.wire.limits import DEFAULT_LIMITS, Limits
from pipeline.wire.schema import SCHEMA_VERSION, DetectionTable, PanopticPart, Version, Word, pack, unpack
from pipeline.wire.topics import ResultKind

NIL = b"\xc0"


class UnreadResult(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="result"):
    """A `ResultRecord`, field by field in its order, of which only the version and the kind are read.

    Once a frame, with the caches full of other things, reading the tables too took twice as long: 0.13 ms for 0.06.
    """

    schema: Version = msgspec.field(default_factory=lambda: SCHEMA_VERSION)
    kind: Word
    source_id: Raw
    epoch: Raw
    seq: Raw
    pts: Raw | UnsetType = UNSET
    time_base: Raw
    capture_time_ns: Raw
    clock: Raw
    width: Raw
    height: Raw
    analysed: Raw | UnsetType = UNSET
    discontinuity: Raw | UnsetType = UNSET
    classes: Raw
    model: Raw
    detections: Raw | UnsetType = UNSET
    tracks: Raw | UnsetType = UNSET
    panoptic: Raw | UnsetType = UNSET
    timings: Raw | UnsetType = UNSET


def select_kind(payload: bytes | memoryview, kind: ResultKind, *, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The payload of `kind` cut from one of kind ``all``: the same bytes as coding that kind anew, coding nothing.

    What it hands on it does not look into: that is for whoever decodes it.

    Raises:
        WireError: `payload` is not a result of kind ``all``.
    """
    record = unpack(payload, UnreadResult, limits)
    if record.kind != "all":
        raise WireError(f"a result of kind {record.kind!r} cannot be cut to {kind!r}; kind 'all' is needed")
    detections, tracks, panoptic = record.detections, record.tracks, record.panoptic
    if kind == "boxes":
        detections = _without_track_ids(detections, limits)
    if kind == "masks":
        panoptic = _without_detection_index(panoptic, limits)
    return pack(
        msgspec.structs.replace(
            record,
            kind=kind,
            detections=UNSET if kind == "masks" else detections,
            tracks=tracks if kind in ("tracks", "all") else UNSET,
            panoptic=panoptic if kind in ("masks", "all") else UNSET,
        )
    )


def _is_there(part: Raw | UnsetType) -> TypeGuard[Raw]:
    """Whether there is one; ours leave out what is nil, others need not."""
    return not isinstance(part, UnsetType) and memoryview(part) != NIL


def _without_track_ids(table: Raw | UnsetType, limits: Limits) -> Raw | UnsetType:
    if not _is_there(table):
        return UNSET
    read = unpack(memoryview(table), DetectionTable, limits)
    return Raw(pack(msgspec.structs.replace(read, track_id=None)))


def _without_detection_index(part: Raw | UnsetType, limits: Limits) -> Raw | UnsetType:
    if not _is_there(part):
        return UNSET
    read = unpack(memoryview(part), PanopticPart, limits)
    segments = msgspec.structs.replace(read.segments, detection_index=None)
    return Raw(pack(msgspec.structs.replace(read, segments=segments)))
