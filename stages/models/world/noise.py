"""Noise tiles made once per process from fixed seeds; worlds cut their textures out of them."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

_SEED = 20_011
_GAUSSIAN_MARGIN_PIXELS = 64


@cache
def fractal(exponent: float, *, size: int = 512) -> NDArray[np.float32]:
    """Periodic noise whose amplitude falls as 1 / frequency**exponent, mean 0, deviation 1.  [size, size]"""
    rng = np.random.default_rng([_SEED, round(exponent * 100), size])
    spectrum = np.fft.rfft2(rng.standard_normal((size, size)))
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    frequency[0, 0] = np.inf
    tile = np.fft.irfft2(spectrum / frequency**exponent, s=(size, size))
    return np.asarray((tile - tile.mean()) / tile.std(), np.float32)


@cache
def _gaussian_tile(height: int, width: int) -> NDArray[np.float32]:
    rng = np.random.default_rng([_SEED, height, width])
    return rng.standard_normal((height, width, 3), dtype=np.float32)


def gaussian(rng: np.random.Generator, *, height: int, width: int) -> NDArray[np.float32]:
    """Sensor-like noise, deviation 1: a window of a cached tile, since drawing it afresh would cost milliseconds.

    [height, width, 3]
    """
    tile = _gaussian_tile(height + _GAUSSIAN_MARGIN_PIXELS, width + _GAUSSIAN_MARGIN_PIXELS)
    top, left = rng.integers(0, _GAUSSIAN_MARGIN_PIXELS, 2)
    return tile[top : top + height, left : left + width]


def cut(tile: NDArray[np.float32], rng: np.random.Generator, *, height: int, width: int) -> NDArray[np.float32]:
    """A random window of a periodic tile; it must be no larger than the tile."""
    top, left = rng.integers(0, tile.shape[0] - height + 1), rng.integers(0, tile.shape[1] - width + 1)
    return tile[top : top + height, left : left + width]
