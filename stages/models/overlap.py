"""How far boxes lie in one another, in numpy: xyxy, a pair each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
_SMALLEST = 1e-6  # pixels: of a box without area nothing is divided by


def overlaps(first: Float32, second: Float32) -> Float32:
    """Intersection over union, [N, 4] and [M, 4] -> [N, M]."""
    shared = _shared(first, second)
    return np.asarray(shared / np.maximum(_areas(first)[:, None] + _areas(second) - shared, _SMALLEST), np.float32)


def covered(first: Float32, second: Float32) -> Float32:
    """The share of each of [N, 4] that lies in each of [M, 4]: [N, M]."""
    return np.asarray(_shared(first, second) / np.maximum(_areas(first)[:, None], _SMALLEST), np.float32)


def _shared(first: Float32, second: Float32) -> Float32:
    low = np.maximum(first[:, None, :2], second[:, :2])
    high = np.minimum(first[:, None, 2:], second[:, 2:])
    return np.asarray((high - low).clip(0).prod(2), np.float32)


def _areas(boxes: Float32) -> Float32:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1), np.float32)
