"""Which pixels a polygon or COCO's run lengths mean. Plain numpy: a pixel is inside when its middle is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST_POINTS = 100_000  # of a polygon
MOST_CROSSINGS = 1 << 22  # of a polygon's edges with rows of pixels
_FARTHEST = 1e6  # a coordinate, pixels


def polygon_mask(polygons: Sequence[Sequence[float]], *, width: int, height: int) -> NDArray[np.bool_]:
    """[H, W] of rings ``[x, y, x, y, ...]``: inside any of them, by the even-odd rule within each.

    Raises:
        ValueError: for half a point, fewer than three points, too many, or coordinates that are no position.
    """
    mask = np.zeros((height, width), np.bool_)
    for ring in polygons:
        points = _points(ring)
        left, top = np.floor(points.min(0)).clip(0, (width, height)).astype(int)
        right, bottom = np.ceil(points.max(0)).clip(0, (width, height)).astype(int)
        if left < right and top < bottom:
            mask[top:bottom, left:right] |= _ring(points - (left, top), width=right - left, height=bottom - top)
    return mask


def _points(ring: Sequence[float]) -> NDArray[np.float64]:
    if len(ring) % 2:
        raise ValueError(f"a polygon has {len(ring)} numbers; x and y of every point are needed")
    if not 3 <= len(ring) // 2 <= MOST_POINTS:
        raise ValueError(f"a polygon has {len(ring) // 2} points; 3 to {MOST_POINTS} are allowed")
    points = np.array(ring, np.float64).reshape(-1, 2)
    if not (np.abs(points) <= _FARTHEST).all():  # nor is not-a-number
        raise ValueError(f"a polygon's coordinate is not within {_FARTHEST:g} pixels of the picture")
    return points


def _ring(points: NDArray[np.float64], *, width: int, height: int) -> NDArray[np.bool_]:
    """Every edge toggles, in each row it crosses, the pixels to the right of the crossing."""
    ends = np.roll(points, -1, 0)
    low, high = np.minimum(points[:, 1], ends[:, 1]), np.maximum(points[:, 1], ends[:, 1])
    first = np.ceil(low - 0.5).clip(0, height).astype(np.int64)  # rows whose middle lies in [low, high)
    after = np.ceil(high - 0.5).clip(0, height).astype(np.int64)
    counts = after - first
    if counts.sum() > MOST_CROSSINGS:
        raise ValueError(f"a polygon crosses rows of pixels {counts.sum()} times; at most {MOST_CROSSINGS} are allowed")
    edge = np.repeat(np.arange(len(points)), counts)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    (x0, y0), (x1, y1) = points[edge].T, ends[edge].T
    x = x0 + (row + 0.5 - y0) * (x1 - x0) / np.where(y1 == y0, 1.0, y1 - y0)
    column = np.ceil(x - 0.5).clip(0, width).astype(np.int64)
    toggles = np.zeros((height, width + 1), np.uint8)
    np.add.at(toggles, (row, column), 1)  # wraps at 256, which is even
    return np.asarray(np.cumsum(toggles, axis=1, dtype=np.uint8)[:, :width] % 2, np.bool_)


def run_length_mask(counts: Sequence[int] | str, *, width: int, height: int) -> NDArray[np.bool_]:
    """[H, W] of COCO's runs, down each column: off, on, off, ...; a list, or the letters pycocotools writes.

    Raises:
        ValueError: for runs that are not exactly the picture, or letters that are no runs.
    """
    runs = np.array(run_lengths(counts) if isinstance(counts, str) else counts, np.object_)
    total = sum(int(run) for run in runs)
    if any(run < 0 for run in runs) or total != width * height:
        raise ValueError(f"run lengths make {total} pixels; the picture has {width * height}, and none is negative")
    values = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(values, runs.astype(np.int64)).reshape(width, height).T)


def run_lengths(letters: str) -> list[int]:
    """The runs behind COCO's letters: 5 bits each with a mark for more, from the third on as differences.

    Raises:
        ValueError: for a letter that is none of theirs, or an end within a number.
    """
    runs: list[int] = []
    value = shift = 0
    for letter in letters.encode("utf-8", "replace"):
        digit = letter - 48
        if not 0 <= digit < 64 or shift > 60:
            raise ValueError(f"{chr(letter)!r} is not of run lengths as COCO writes them")
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        if digit & 16:  # the sign
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("run lengths end within a number")
    return runs
