"""What was found in a piece of a recording, as a file: all that tracking and the results need, and no picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

from pipeline.errors import SinkError
from pipeline.footage.files import failed, to_disk
from pipeline.messages import (
    NO_TRACK,
    Classes,
    Counted,
    Detections,
    ModelInfo,
    PanopticMap,
    PanopticRuns,
    Segments,
    Transform,
)

BLOCK_FRAMES = 64
MOST_BYTES = 1 << 30  # of a block
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
    """

    things: tuple[str, ...]
    stuff: tuple[str, ...]
    model: tuple[str, str]
    time_base: tuple[int, int]
    rate: tuple[int, int] | None
    start_ns: int

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


def found(detections: Detections, panoptic: PanopticMap | None) -> dict[str, Any]:
    """What a record has of a frame."""
    return {
        "boxes": _bytes(detections.boxes, np.float32),
        "scores": _bytes(detections.scores, np.float32),
        "raw_scores": _bytes(detections.raw_scores, np.float32),
        "labels": _bytes(detections.labels, np.int32),
        "panoptic": None if panoptic is None else _map_record(panoptic),
    }


class PieceWriter:
    """Writes the file of a piece, which is there whole, under its own name, or not at all. Raises `SinkError`.

    Blocks of MessagePack, each behind its length, in one stream of zstd: the header, records, and after an empty one
    what it came to; so that neither side ever holds all of a recording.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self._path, self._part = path, path.with_name(f".{path.name}.part")
        self._held: list[Record] = []
        self.frames = 0
        try:
            self._file = self._part.open("wb")
        except OSError as exc:
            raise failed(path, exc) from exc
        self._stream: Any = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).stream_writer(
            self._file, closefd=False
        )
        self._write(header)

    def add(self, record: Record) -> None:
        """The next frame."""
        self._held.append(record)
        self.frames += 1
        if len(self._held) >= BLOCK_FRAMES:
            self._flush()

    def finish(self, counted: Counted) -> None:
        """All are there."""
        self._flush()
        self._write(None)
        self._write(counted)
        try:
            self._stream.close()
            self._file.close()
            to_disk(self._part)
            self._part.rename(self._path)
        except OSError as exc:
            raise failed(self._path, exc) from exc

    def abandon(self) -> None:
        """Throw away what was written; nothing after `finish`."""
        with suppress(OSError, zstandard.ZstdError):
            self._stream.close()
        with suppress(OSError):
            self._file.close()
            self._part.unlink(missing_ok=True)

    def _flush(self) -> None:
        if self._held:
            self._write(self._held)
            self._held = []

    def _write(self, block: Header | list[Record] | Counted | None) -> None:
        data = b"" if block is None else msgspec.msgpack.encode(block)
        try:
            self._stream.write(len(data).to_bytes(4, "big") + data)
        except OSError as exc:
            raise failed(self._path, exc) from exc


class PieceFile:
    """The file of a piece, read block by block. Raises `SinkError` where it cannot be."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.counted: Counted | None = None  # once all records were read
        with self._telling():
            self._file = path.open("rb")
            self._stream: Any = zstandard.ZstdDecompressor().stream_reader(self._file, closefd=True)
            self.header = msgspec.msgpack.decode(self._block(), type=Header)

    def records(self) -> Iterator[Record]:
        """All of them, once."""
        decoder = msgspec.msgpack.Decoder(list[Record])
        with self._telling():
            while data := self._block():
                yield from decoder.decode(data)
            self.counted = msgspec.msgpack.decode(self._block(), type=Counted)

    def close(self) -> None:
        """Close it. Calling it twice does no harm."""
        self._stream.close()

    def _block(self) -> bytes:
        size = int.from_bytes(self._read(4), "big")
        return self._read(size) if size else b""

    def _read(self, size: int) -> bytes:
        if size > MOST_BYTES:
            raise SinkError(f"{self._path}: a block of {size} bytes; at most {MOST_BYTES} are written")
        data = self._stream.read(size)
        if len(data) < size:
            raise SinkError(f"{self._path}: it breaks off; remove it, and give the command again")
        return bytes(data)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (OSError, zstandard.ZstdError, msgspec.DecodeError) as exc:
            raise SinkError(f"{self._path}: cannot be read: {exc}; remove it, and give the command again") from exc


def _map_record(panoptic: PanopticMap) -> Map:
    lengths, values = panoptic.runs()
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
