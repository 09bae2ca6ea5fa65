"""Id maps of drawn streets."""

from __future__ import annotations

from typing import Any

import numpy as np

SEGMENTS = 32

IdMap = np.ndarray[Any, np.dtype[np.uint16]]


def wave(rng: np.random.Generator, count: int, length: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Random heights [count] with a standard deviation of 1 and bumps about `length` samples wide."""
    rough = rng.standard_normal(count + 6 * int(length))
    kernel = np.exp(-0.5 * (np.arange(-3 * length, 3 * length + 1) / length) ** 2)
    smooth = np.convolve(rough, kernel / np.sqrt((kernel**2).sum()), "same")
    return smooth[3 * int(length) : 3 * int(length) + count]


def street(shape: tuple[int, int], *, segments: int = SEGMENTS, seed: int = 0) -> IdMap:
    """A map of a quarter stuff, piled up in layers, and three quarters things, all with outlines ragged by a pixel."""
    rng = np.random.default_rng(seed)
    height, width = shape
    rows, columns = np.mgrid[:height, :width]
    ids = np.ones(shape, dtype=np.uint16)
    stuff = segments // 4
    for layer in range(1, stuff):
        edge = height * (0.9 * layer / stuff + 0.02 * wave(rng, width, width / 60)) + rng.normal(0, 0.6, width)
        ids[rows > edge] = layer + 1
    for thing in range(stuff + 1, segments + 1):
        y, x = rng.uniform(0.2, 0.9) * height, rng.uniform(0.05, 0.95) * width
        tall, wide = height * rng.uniform(0.03, 0.15), height * rng.uniform(0.02, 0.12)
        outline = 1 + 0.1 * wave(rng, 720, 20) + rng.normal(0, 0.01, 720)
        turn = ((np.arctan2(rows - y, columns - x) + np.pi) / (2 * np.pi) * 719).astype(int)
        ids[((rows - y) / tall) ** 2 + ((columns - x) / wide) ** 2 < outline[turn] ** 2] = thing
    return ids
