"""What was found in a piece of a recording, as a file: all that tracking and the results need, and no picture."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

from pipeline.errors import SinkError
from pipeline.messages import (
    NO_TRACK,
    Classes,
    Detections,
    ModelInfo,
    PanopticMap,
    PanopticRuns,
    Segments,
    Transform,
)
from pipeline.wire.idmap import runs_of

MOST_BYTES = 1 << 32  # of a piece's records, uncompressed
LEVEL = 1


class State(IntEnum):
    """What became of a frame."""

    ANALYSED = 0
    SKIPPED = 1  # as planned
    FAILED = 2  # the network could not be run on it
    OUTSIDE = 3  # of the time that is wanted


class Map(msgspec.Struct, frozen=True, array_like=True):
    """A panoptic map as runs, and its table by columns; track ids come later."""

    width: int
    height: int
    lengths: bytes  # uint32
    values: bytes  # uint16
    transform: tuple[float, float, float, float]
    ids: bytes  # int32, as all that follow but for scores and boxes
    labels: bytes
    is_thing: bytes  # bool
    scores: bytes  # float32
    areas: bytes
    boxes: bytes  # float32
    detection_index: bytes


class Record(msgspec.Struct, frozen=True, array_like=True):
    """A frame of a recording, and what was found in it."""

    pts: int | None
    size: tuple[int, int]  # width and height as coded
    shown: tuple[int, int]  # as it is looked at
    state: State
    boxes: bytes = b""  # float32 [N, 4], source pixels
    scores: bytes = b""  # float32
    raw_scores: bytes = b""
    labels: bytes = b""  # int32
    panoptic: Map | None = None
    batch_size: int = 0
    stage_ms: dict[str, float] = {}

    @property
    def detections(self) -> Detections:
        """The boxes."""
        return Detections(
            boxes=_array(self.boxes, np.float32).reshape(-1, 4),
            scores=_array(self.scores, np.float32),
            labels=_array(self.labels, np.int32),
            raw_scores=_array(self.raw_scores, np.float32),
        )

    @property
    def map(self) -> PanopticMap | None:
        """The panoptic map."""
        return None if self.panoptic is None else _map_of(self.panoptic)


class Header(msgspec.Struct, frozen=True, array_like=True):
    """What holds for a whole piece.

    Attributes:
        time_base: numerator and denominator, seconds.
        rate: frames a second, likewise.
        start_ns: when the recording began, since 1970.
        packets, hidden, lost_rest, declared: see `PieceReader`.
    """

    things: tuple[str, ...]
    stuff: tuple[str, ...]
    model: tuple[str, str]
    time_base: tuple[int, int]
    rate: tuple[int, int] | None
    start_ns: int
    packets: int
    hidden: int
    damaged: int
    lost_rest: bool
    declared: int

    @property
    def classes(self) -> Classes:
        """The label space."""
        return Classes(self.things, self.stuff)

    @property
    def model_info(self) -> ModelInfo:
        """The network."""
        return ModelInfo(*self.model)

    @property
    def step(self) -> Fraction:
        """The time base."""
        return Fraction(*self.time_base)

    @property
    def frame_rate(self) -> Fraction | None:
        """Frames a second, as the container says."""
        return None if self.rate is None else Fraction(*self.rate)


class PieceFile(msgspec.Struct, frozen=True, array_like=True):
    """The file of a piece."""

    header: Header
    records: list[Record]


def found(detections: Detections, panoptic: PanopticMap | None) -> dict[str, Any]:
    """What a record has of a frame."""
    return {
        "boxes": _bytes(detections.boxes, np.float32),
        "scores": _bytes(detections.scores, np.float32),
        "raw_scores": _bytes(detections.raw_scores, np.float32),
        "labels": _bytes(detections.labels, np.int32),
        "panoptic": None if panoptic is None else _map_record(panoptic),
    }


def write_piece(path: Path, header: Header, records: Sequence[Record]) -> None:
    """The file of a piece, there whole or not at all. Raises `SinkError`."""
    from pipeline.footage.files import write_whole

    data = msgspec.msgpack.encode(PieceFile(header, list(records)))
    write_whole(path, zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(data))


def read_piece(path: Path) -> PieceFile:
    """What was written. Raises `SinkError` where the file cannot be read."""
    try:
        data = zstandard.ZstdDecompressor().decompress(path.read_bytes(), max_output_size=MOST_BYTES)
        return msgspec.msgpack.decode(data, type=PieceFile)
    except (OSError, zstandard.ZstdError, msgspec.DecodeError) as exc:
        raise SinkError(f"{path}: cannot be read: {exc}; remove it, and give the command again") from exc


def _map_record(panoptic: PanopticMap) -> Map:
    if isinstance(panoptic, PanopticRuns):
        lengths, values = panoptic.lengths, panoptic.values
    else:
        lengths, values = runs_of(panoptic.ids)
    table, t = panoptic.segments, panoptic.transform
    return Map(
        panoptic.width,
        panoptic.height,
        _bytes(lengths, np.uint32),
        _bytes(values, np.uint16),
        (t.scale_x, t.scale_y, t.offset_x, t.offset_y),
        _bytes(table.ids, np.int32),
        _bytes(table.labels, np.int32),
        _bytes(table.is_thing, np.bool_),
        _bytes(table.scores, np.float32),
        _bytes(table.areas, np.int32),
        _bytes(table.boxes, np.float32),
        _bytes(table.detection_index, np.int32),
    )


def _map_of(record: Map) -> PanopticRuns:
    ids = _array(record.ids, np.int32)
    return PanopticRuns(
        _array(record.lengths, np.uint32),
        _array(record.values, np.uint16),
        width=record.width,
        height=record.height,
        segments=Segments(
            ids=ids,
            labels=_array(record.labels, np.int32),
            is_thing=_array(record.is_thing, np.bool_),
            scores=_array(record.scores, np.float32),
            areas=_array(record.areas, np.int32),
            boxes=_array(record.boxes, np.float32).reshape(-1, 4),
            detection_index=_array(record.detection_index, np.int32),
            track_ids=np.full(len(ids), NO_TRACK, dtype=np.int64),
        ),
        transform=Transform(*record.transform),
    )


def _bytes(values: npt.NDArray[Any], kind: npt.DTypeLike) -> bytes:
    return np.ascontiguousarray(values, dtype=kind).tobytes()


def _array(data: bytes, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    return np.frombuffer(data, dtype=kind)
