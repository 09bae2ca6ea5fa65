"""What each detection covers of its box, cell by cell, from a panoptic map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from pipeline.messages import BatchDetections, Float32, Int32, Int64, PanopticMap, UInt8
from stages.compiled import compiled, inlined, read_only
from stages.track.step import PATCH

Float64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
UInt16 = npt.NDArray[np.uint16]
UInt32 = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """Of all detections of a batch."""

    patches: UInt8  # [N, PATCH * PATCH] 1 where the mask covers the cell's centre
    fills: Float32  # [N] share of the cells; 0 for a detection without a mask, and for one between the cells' centres
    shown: Bools  # [N] whether it has a segment

    @classmethod
    def none(cls, count: int) -> Masks:
        """So many detections without a mask."""
        return cls(np.zeros((count, PATCH * PATCH), np.uint8), np.zeros(count, np.float32), np.zeros(count, np.bool_))


NO_MASKS = Masks.none(0)  # where they do not count


def masks_of(found: BatchDetections, maps: Sequence[PanopticMap | None]) -> Masks:
    """Each frame's detections looked up in its map; a detection that a map tells nothing of has no mask.

    A map that is known by its runs is looked up in them: pixels of it are not made for this.
    """
    masks = Masks.none(len(found.scores))
    given = [(row, one) for row, one in enumerate(maps) if one is not None]
    if not given or not len(found.scores):
        return masks
    runs = [one.runs() for _, one in given]
    tables = [one.segments for _, one in given]
    of_source = [one.transform for _, one in given]
    _look_up(
        np.array([row for row, _ in given], np.int64),
        np.array([(one.width, one.height) for _, one in given], np.int64),
        np.array([(t.scale_x, t.scale_y, t.offset_x, t.offset_y) for t in of_source], np.float64),
        np.array([(len(values), len(table.ids)) for (_, values), table in zip(runs, tables, strict=True)], np.int64),
        _joined([lengths for lengths, _ in runs]),
        _joined([values for _, values in runs]),
        _joined([table.ids for table in tables]),
        _joined([table.detection_index for table in tables]),
        found.bounds,
        found.boxes,
        masks.patches,
        masks.fills,
        masks.shown,
    )
    return masks


def _joined(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(parts[0]) if len(parts) == 1 else np.concatenate(parts)


@inlined
def _sample(
    ends: Int64, firsts: Int64, values: UInt16, size: Int64, place: Float64, box: Float32, segment: int, patch: UInt8
) -> int:
    """Mark the cells of a box whose centre lies on a segment; how many there are."""
    left, top = np.float64(box[0]), np.float64(box[1])
    across, down = np.float64(box[2]) - left, np.float64(box[3]) - top
    covered = 0
    if not (np.isfinite(left) and np.isfinite(top) and across > 0.0 and down > 0.0):
        return covered
    first_x, first_y = (left - place[2]) / place[0], (top - place[3]) / place[1]
    step_x, step_y = across / place[0] / PATCH, down / place[1] / PATCH
    for row in range(PATCH):
        y = first_y + (row + 0.5) * step_y
        if not 0.0 <= y < size[1]:
            continue
        run, start = firsts[int(y)], int(y) * size[0]
        for column in range(PATCH):
            x = first_x + (column + 0.5) * step_x
            if not 0.0 <= x < size[0]:
                continue
            while ends[run] <= start + int(x):
                run += 1
            if values[run] == segment:
                patch[row * PATCH + column] = 1
                covered += 1
    return covered


@compiled(
    types.void(
        read_only("int64", 1), read_only("int64", 2), read_only("float64", 2), read_only("int64", 2),
        read_only("uint32", 1), read_only("uint16", 1), read_only("int32", 1), read_only("int32", 1),
        read_only("int64", 1), read_only("float32", 2), types.uint8[:, ::1], types.float32[::1],
        types.boolean[::1],
    )
)  # fmt: skip
def _look_up(
    rows: Int64,  # [M] the frame of each map
    sizes: Int64,  # [M, 2] width and height
    places: Float64,  # [M, 4] scale x and y, offset x and y, to source pixels
    counts: Int64,  # [M, 2] runs and segments
    lengths: UInt32,  # of all runs, map by map
    values: UInt16,  # the segment of each
    ids: Int32,  # of all segments, map by map
    index: Int32,  # the detection of each among its frame's; -1 for none
    bounds: Int64,  # [B + 1] detections bounds[i] to bounds[i + 1] are frame i's
    boxes: Float32,  # [N, 4]
    patches: UInt8,
    fills: Float32,
    shown: Bools,
) -> None:
    ends = np.empty(len(lengths), np.int64)  # of each run, in pixels from its map's first
    firsts = np.empty(sizes[:, 1].max(), np.int64)  # of each row of a map: the run that its first pixel lies in
    run = segment = 0
    for k in range(len(rows)):
        width = sizes[k, 0]
        end, row = 0, 0
        for r in range(counts[k, 0]):
            end += lengths[run + r]
            ends[run + r] = end
            while row < sizes[k, 1] and row * width < end:
                firsts[row] = r
                row += 1
        after = run + counts[k, 0]
        first, last = bounds[rows[k]], bounds[rows[k] + 1]
        whole = end == width * sizes[k, 1]
        for s in range(segment, segment + counts[k, 1]):
            j = first + index[s]
            if whole and index[s] >= 0 and j < last:
                covered = _sample(
                    ends[run:after], firsts, values[run:after], sizes[k], places[k], boxes[j], ids[s], patches[j]
                )
                fills[j], shown[j] = covered / (PATCH * PATCH), True
        run, segment = after, segment + counts[k, 1]
