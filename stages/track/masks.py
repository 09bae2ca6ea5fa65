"""What each detection covers of its box, cell by cell, from a panoptic map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import types

from pipeline.messages import BatchDetections, Float32, Int32, Int64, PanopticMap, UInt8
from stages.compiled import compiled, read_only
from stages.track.step import PATCH

Float64 = npt.NDArray[np.float64]
UInt16 = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """Of all detections of a batch."""

    patches: UInt8  # [N, PATCH * PATCH] 1 where the mask covers the cell's centre
    fills: Float32  # [N] share of the cells; 0 for a detection without a mask

    @classmethod
    def none(cls, count: int) -> Masks:
        """So many detections without a mask."""
        return cls(np.zeros((count, PATCH * PATCH), np.uint8), np.zeros(count, np.float32))


NO_MASKS = Masks.none(0)  # where they do not count


def masks_of(found: BatchDetections, maps: Sequence[PanopticMap | None]) -> Masks:
    """Each frame's detections looked up in its map; a detection that a map tells nothing of has no mask.

    A map that is known by its runs is looked up in them: pixels of it are not made for this.
    """
    masks = Masks.none(len(found.scores))
    bounds = found.bounds.tolist()
    for first, last, panoptic in zip(bounds[:-1], bounds[1:], maps, strict=True):
        if panoptic is None or first == last:
            continue
        segments = panoptic.segments.of_detections(last - first)
        if not segments.any():
            continue
        lengths, values = panoptic.runs()
        t = panoptic.transform
        place = np.array([t.scale_x, t.scale_y, t.offset_x, t.offset_y], np.float64)
        ends = np.cumsum(lengths, dtype=np.int64)
        rows = slice(first, last)
        _look_up(
            ends, values, panoptic.width, panoptic.height, place,
            found.boxes[rows], segments, masks.patches[rows], masks.fills[rows],
        )  # fmt: skip
    return masks


@compiled(
    types.void(
        read_only("int64", 1), read_only("uint16", 1), types.int64, types.int64, read_only("float64", 1),
        read_only("float32", 2), read_only("int32", 1), types.uint8[:, ::1], types.float32[::1],
    )
)  # fmt: skip
def _look_up(
    ends: Int64,  # [R] of the runs, in pixels from the map's first
    values: UInt16,  # [R] the segment of each
    width: int,
    height: int,
    place: Float64,  # [4] scale x and y, offset x and y, to source pixels
    boxes: Float32,  # [N, 4]
    segments: Int32,  # [N] 0 for none
    patches: UInt8,
    fills: Float32,
) -> None:
    for j in range(len(boxes)):
        if segments[j] == 0:
            continue
        left, top = np.float64(boxes[j, 0]), np.float64(boxes[j, 1])
        across, down = np.float64(boxes[j, 2]) - left, np.float64(boxes[j, 3]) - top
        if not (np.isfinite(left) and np.isfinite(top) and across > 0.0 and down > 0.0):
            continue
        covered = 0
        for row in range(PATCH):
            y = (top + (row + 0.5) / PATCH * down - place[3]) / place[1]
            if y < 0.0 or y >= height:
                continue
            run = -1
            for column in range(PATCH):
                x = (left + (column + 0.5) / PATCH * across - place[2]) / place[0]
                if x < 0.0 or x >= width:
                    continue
                pixel = int(y) * width + int(x)
                if run < 0:
                    run = int(np.searchsorted(ends, pixel, side="right"))
                while ends[run] <= pixel:
                    run += 1
                if values[run] == segments[j]:
                    patches[j, row * PATCH + column] = 1
                    covered += 1
        fills[j] = covered / (PATCH * PATCH)
