"""Masks as crops: of each segment the box of the map that it fills, and its alternating run lengths within that box."""

from __future__ import annotations

import numpy as np

from pipeline.errors import WireError
from pipeline.messages.arrays import Int32, Int64
from pipeline.wire.columns import pack_column, unpack_column
from pipeline.wire.idmap import UInt16, compress_lengths, decompress_lengths
from pipeline.wire.limits import DEFAULT_LIMITS, Limits, check_area, check_count
from pipeline.wire.runs import Regions, alternating, check_alternating, on_runs, paint, regions_of
from pipeline.wire.schema import CropTable


def encode_crops(ids: UInt16, segment_ids: Int32) -> CropTable:
    """The masks of the segments of a map [h, w], in the table's order."""
    width = ids.shape[1]
    rows = _row_runs(ids, segment_ids)
    boxes = _boxes(rows, width)
    regions = _in_crops(rows, boxes, width)
    counts, each = alternating(regions, boxes[:, 2] * boxes[:, 3])
    return CropTable(
        count=len(segment_ids),
        box=pack_column(boxes, "<i4"),
        runs=pack_column(each, "<i4"),
        lengths=memoryview(compress_lengths(counts)),
    )


def decode_crops(
    table: CropTable, segment_ids: Int32, *, width: int, height: int, limits: Limits = DEFAULT_LIMITS
) -> UInt16:
    """The map [height, width] of the masks of its segments. Raises `WireError`; masks that overlap are refused."""
    check_area("masks", width, height, limits.picture_pixels)
    check_count("crops", table.count, limits.segments)
    if table.count != len(segment_ids):
        raise WireError(f"crops: {table.count} masks for {len(segment_ids)} segments")
    boxes = unpack_column("crops.box", table.box, "<i4", table.count, 4).astype(np.int64)
    runs = unpack_column("crops.runs", table.runs, "<i4", table.count).astype(np.int64)
    _check_boxes(boxes, runs, width, height)
    counts = decompress_lengths(table.lengths, count=int(runs.sum()), limits=limits)
    return _painted(counts, runs, boxes, segment_ids, width, height, limits).reshape(height, width)


def _row_runs(ids: UInt16, segment_ids: Int32) -> Regions:
    """Runs that end where a row ends."""
    flat = np.ascontiguousarray(ids).reshape(-1)
    width = ids.shape[1]
    breaks = flat[1:] != flat[:-1]
    breaks[width - 1 :: width] = True
    ends = np.append(np.flatnonzero(breaks), flat.size - 1)
    lengths = np.diff(ends, prepend=-1)
    return regions_of(ends + 1 - lengths, lengths, flat[ends], segment_ids)


def _boxes(rows: Regions, width: int) -> Int64:
    """Left, top, width and height of what each segment fills [S, 4]; zeros for one that fills nothing."""
    boxes = np.zeros((len(rows.bounds) - 1, 4), dtype=np.int64)
    filled = np.diff(rows.bounds) > 0
    if not filled.any():
        return boxes
    firsts, lasts = rows.bounds[:-1][filled], rows.bounds[1:][filled] - 1
    left = rows.starts % width
    first = np.minimum.reduceat(left, firsts)
    top, bottom = rows.starts[firsts] // width, rows.starts[lasts] // width
    wide = np.maximum.reduceat(left + rows.lengths, firsts) - first
    boxes[filled] = np.stack([first, top, wide, bottom + 1 - top], axis=1)
    return boxes


def _in_crops(rows: Regions, boxes: Int64, width: int) -> Regions:
    """Runs of the map as runs of their crops, those that touch there made one."""
    each = np.diff(rows.bounds)
    left, top, wide, _ = np.repeat(boxes, each, axis=0).T
    starts = (rows.starts // width - top) * wide + rows.starts % width - left
    apart = np.ones(len(starts), dtype=bool)
    apart[1:] = starts[1:] != (starts + rows.lengths)[:-1]
    apart[rows.bounds[:-1][each > 0]] = True
    firsts = np.flatnonzero(apart)
    lengths = np.add.reduceat(rows.lengths, firsts) if len(firsts) else rows.lengths
    return Regions(starts[firsts], lengths, np.searchsorted(firsts, rows.bounds))


def _check_boxes(boxes: Int64, runs: Int64, width: int, height: int) -> None:
    left, top, wide, high = boxes.T
    inside = (left >= 0) & (top >= 0) & (wide >= 1) & (high >= 1) & (left + wide <= width) & (top + high <= height)
    empty = (boxes == 0).all(axis=1) & (runs == 0)
    if not (inside & (runs >= 1) | empty).all():
        raise WireError(f"crops: boxes with runs inside the map of {width}x{height} are needed, or zeros for no pixel")


def _painted(
    counts: Int64, runs: Int64, boxes: Int64, segment_ids: Int32, width: int, height: int, limits: Limits
) -> UInt16:
    starts, lengths, owners = [], [], []
    ends = np.cumsum(runs)
    for row, (left, top, wide, high) in enumerate(boxes.tolist()):
        own = counts[ends[row] - runs[row] : ends[row]]
        check_alternating("crops", own, wide * high)
        start, length = on_runs(own)
        first, last = start // max(wide, 1), (start + length - 1) // max(wide, 1)
        starts.append((start, first, last))
        lengths.append(length)
        owners.append(np.broadcast_to(np.array([left, top, wide, segment_ids[row]]), (len(start), 4)))
    if not starts:
        return np.zeros(width * height, dtype=np.uint16)
    start, first, last = (np.concatenate(parts) for parts in zip(*starts, strict=True))
    length, owner = np.concatenate(lengths), np.concatenate(owners)
    parts = last - first + 1
    check_count("crops: runs by rows", int(parts.sum()), limits.runs)
    if int(length.sum()) > width * height:
        raise WireError("masks: segments overlap; each pixel belongs to one at most")
    return _rows_painted(start, length, first, parts, owner, width, height)


def _rows_painted(
    start: Int64, length: Int64, first: Int64, parts: Int64, owner: Int64, width: int, height: int
) -> UInt16:
    """Runs within crops, split where the crops' rows end, on the map."""
    step = np.arange(int(parts.sum())) - np.repeat(np.cumsum(parts) - parts, parts)
    left, top, wide, ids = np.repeat(owner, parts, axis=0).T
    begin = np.repeat(start, parts)
    end = begin + np.repeat(length, parts)
    row = np.repeat(first, parts) + step
    from_, to = np.maximum(begin, row * wide), np.minimum(end, (row + 1) * wide)
    return paint((top + row) * width + left + from_ - row * wide, to - from_, ids, width * height)
