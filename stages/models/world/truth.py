"""The truth about a rendered clip as a small file: gzipped JSON with boxes for every frame and id maps for some.

An id map is kept at 1 / `scale` of the picture's size (the id at the middle of each square of `scale` pixels), for one
frame in `every`, as the runs by which it differs from the map before it: `skip, length, id, skip, length, id, ...`.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stages.models.world.classes import CLASSES, THINGS
from stages.models.world.frame import WorldFrame

_FORMAT: Final = "everyframe-world-truth"
_VERSION: Final = 1
_LARGEST_BYTES: Final = 64 << 20  # of JSON; what is larger is no truth of ours
_MOST_PIXELS: Final = 1 << 27  # of all id maps kept; in memory four bytes each


@dataclass(frozen=True, slots=True, eq=False)
class TruthFrame:
    """The truth about one frame."""

    boxes: NDArray[np.float32]  # [N, 4] xyxy, pixels of the picture
    labels: NDArray[np.int64]  # [N] index into THINGS
    track_ids: NDArray[np.int64]  # [N]
    visibility: NDArray[np.float32]  # [N] to two decimals
    id_map: NDArray[np.int32] | None  # [H // scale, W // scale] ids as in WorldFrame; None where none was kept


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The truth about a clip."""

    width: int
    height: int
    fps: float
    scale: int
    frames: tuple[TruthFrame, ...]

    def __repr__(self) -> str:
        maps = sum(frame.id_map is not None for frame in self.frames)
        return f"Truth({self.width}x{self.height}, {len(self.frames)} frames at {self.fps:g} fps, {maps} id maps)"


def write_truth(
    path: str | Path, frames: Iterable[WorldFrame], *, fps: float = 25.0, scale: int = 4, every: int = 2
) -> None:
    """Writes the truth of a clip's frames; the same frames give the same bytes.

    Raises:
        ValueError: for no frames, or frames that differ in size.
    """
    records: list[dict[str, Any]] = []
    before: NDArray[np.int32] | None = None
    shape: tuple[int, ...] = ()
    for number, frame in enumerate(frames):
        if shape and frame.id_map.shape != shape:
            raise ValueError(f"frame {number} has size {frame.id_map.shape}, the frames before it {shape}")
        shape = frame.id_map.shape
        record = _record(frame)
        if number % every == 0:
            reduced = reduce_map(frame.id_map, scale)
            record["map"] = _differences(reduced, np.zeros_like(reduced) if before is None else before)
            before = reduced
        records.append(record)
    if not records:
        raise ValueError("there are no frames to write the truth of")
    height, width = shape
    head = {"format": _FORMAT, "version": _VERSION, "classes": CLASSES, "width": width, "height": height, "fps": fps,
            "scale": scale}  # fmt: skip
    text = json.dumps({**head, "frames": records}, separators=(",", ":"))
    Path(path).write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


def read_truth(path: str | Path) -> Truth:
    """Reads what `write_truth` wrote.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is not such a file.
    """
    with Path(path).open("rb") as packed:
        try:
            text = gzip.GzipFile(fileobj=packed).read(_LARGEST_BYTES + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path} is not a whole gzip file: {error}") from error
    if len(text) > _LARGEST_BYTES:
        raise ValueError(f"{path} unpacks to more than {_LARGEST_BYTES} bytes, the limit for a truth file")
    try:
        content = json.loads(text)
        if (content["format"], content["version"]) != (_FORMAT, _VERSION):
            raise ValueError(f"format {content['format']!r} version {content['version']!r}")
        return _truth(content)
    except (LookupError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"{path} is not a {_FORMAT} file of version {_VERSION}: {error}") from error


def reduce_map(id_map: NDArray[np.int32], scale: int) -> NDArray[np.int32]:
    """The id at the middle of each square of `scale` pixels.  [H, W] -> [H // scale, W // scale]"""
    height, width = (side // scale * scale for side in id_map.shape)
    return np.ascontiguousarray(id_map[scale // 2 : height : scale, scale // 2 : width : scale])


def _record(frame: WorldFrame) -> dict[str, Any]:
    return {
        "boxes": frame.boxes.astype(int).tolist(),
        "labels": frame.labels.tolist(),
        "tracks": frame.track_ids.tolist(),
        "visibility": [round(float(share), 2) for share in frame.visibility],
    }


def _differences(id_map: NDArray[np.int32], before: NDArray[np.int32]) -> list[int]:
    """Runs of pixels that took a new id, as (pixels skipped since the last run, length, id)."""
    flat, changed = id_map.ravel(), (id_map != before).ravel()
    borders = np.flatnonzero((np.diff(flat) != 0) | (np.diff(changed.astype(np.int8)) != 0)) + 1
    runs: list[int] = []
    end_before = 0
    for start, end in pairwise([0, *borders.tolist(), flat.size]):
        if changed[start]:
            runs += [start - end_before, end - start, int(flat[start])]
            end_before = end
    return runs


def _truth(content: dict[str, Any]) -> Truth:
    scale, width, height = int(content["scale"]), int(content["width"]), int(content["height"])
    records = content["frames"]
    pixels = (height // scale) * (width // scale) * (1 + sum("map" in record for record in records))
    if min(scale, width, height) < 1 or pixels > _MOST_PIXELS:
        raise ValueError(f"{width}x{height} pixels at scale {scale}; at most {_MOST_PIXELS} pixels of id maps are read")
    id_map = np.zeros((height // scale, width // scale), np.int32)
    frames = []
    for record in records:
        kept = "map" in record
        if kept:
            id_map = id_map.copy()
            _apply(id_map.reshape(-1), record["map"])
        frames.append(_truth_frame(record, id_map if kept else None))
    return Truth(width, height, float(content["fps"]), scale, tuple(frames))


def _truth_frame(record: dict[str, Any], id_map: NDArray[np.int32] | None) -> TruthFrame:
    boxes = np.array(record["boxes"], np.float32).reshape(-1, 4)
    labels = np.array(record["labels"], np.int64)
    track_ids = np.array(record["tracks"], np.int64)
    visibility = np.array(record["visibility"], np.float32)
    if not len(boxes) == len(labels) == len(track_ids) == len(visibility):
        raise ValueError(f"a frame has {len(boxes)} boxes, {len(labels)} labels and {len(track_ids)} tracks")
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(THINGS):
        raise ValueError(f"labels must be 0 to {len(THINGS) - 1}, got {labels.tolist()}")
    return TruthFrame(boxes, labels, track_ids, visibility, id_map)


def _apply(flat: NDArray[np.int32], runs: list[int]) -> None:
    position = 0
    for skip, length, value in zip(runs[::3], runs[1::3], runs[2::3], strict=True):
        position += skip
        if skip < 0 or length < 1 or position + length > flat.size:
            raise ValueError(f"a run of {length} pixels at {position} leaves a map of {flat.size}")
        flat[position : position + length] = value
        position += length
