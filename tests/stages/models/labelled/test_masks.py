"""Polygons and run lengths, beside pixel-by-pixel arithmetic and pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as pycoco

from stages.models.labelled.masks import polygon_mask, run_length_mask, run_lengths


def slow_mask(ring: list[float], *, width: int, height: int) -> np.ndarray:
    """Whether a ray to the left of each pixel's middle crosses an odd number of edges."""
    inside = np.zeros((height, width), bool)
    points = list(zip(ring[::2], ring[1::2], strict=True))
    for row in range(height):
        for column in range(width):
            x, y = column + 0.5, row + 0.5
            for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
                if (y0 <= y) != (y1 <= y) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x:
                    inside[row, column] ^= True
    return inside


@pytest.mark.parametrize("seed", range(8))
def test_a_polygon_covers_the_pixels_whose_middles_are_inside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ring = rng.uniform(-4, 28, 2 * int(rng.integers(3, 12))).tolist()  # crosses itself, leaves the picture
    assert np.array_equal(polygon_mask([ring], width=24, height=18), slow_mask(ring, width=24, height=18))


def test_whole_pixels_are_exact() -> None:
    mask = polygon_mask([[2, 1, 5, 1, 5, 4, 2, 4]], width=8, height=6)
    assert mask.sum() == 9
    assert mask[1:4, 2:5].all()


def test_several_rings_are_together_and_one_outside_is_nothing() -> None:
    mask = polygon_mask(
        [[0, 0, 2, 0, 2, 2, 0, 2], [1, 1, 3, 1, 3, 3, 1, 3], [50, 50, 60, 50, 60, 60]], width=8, height=6
    )
    assert mask.sum() == 4 + 4 - 1


@pytest.mark.parametrize("seed", range(4))
def test_run_lengths_are_pycocotools(seed: int) -> None:
    mask = np.random.default_rng(seed).random((17, 23)) < (0.02, 0.3, 0.9, 1.0)[seed]
    letters = pycoco.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()
    assert np.array_equal(run_length_mask(letters, width=23, height=17), mask)
    assert np.array_equal(run_length_mask(run_lengths(letters), width=23, height=17), mask)


def test_long_runs_take_more_letters() -> None:
    mask = np.zeros((700, 900), bool)
    mask[300:600, 100:800] = True
    letters = pycoco.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()
    assert np.array_equal(run_length_mask(letters, width=900, height=700), mask)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([3, 10**15], "make 1000000000000003 pixels"),
        ([3, 10**30], "pixels"),
        ([30, -6], "none is negative"),
        ([23], "make 23 pixels"),
        ([], "make 0 pixels"),
        ("e", "end within"),
        ("\x01", "not of run lengths"),
        ("ooooooooooooooooooooooo1", "not of run lengths"),
        ("ä", "not of run lengths"),
    ],
)
def test_runs_that_are_not_the_picture_are_refused(counts: list[int] | str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        run_length_mask(counts, width=6, height=4)


@pytest.mark.parametrize(
    ("ring", "said"),
    [
        ([0, 0, 1], "3 numbers"),
        ([0, 0, 1, 1], "2 points"),
        ([], "0 points"),
        ([0, 0, 5, 0, float("nan"), 5], "not within"),
        ([0, 0, 5, 0, 1e300, 5], "not within"),
        ([0.0] * 200_002, "100001 points"),
        ([0, 0, 9, 5000] * 20_000, "crosses rows"),
    ],
    ids=["odd", "line", "none", "nan", "far", "many", "zigzag"],
)
def test_rings_that_are_none_are_refused(ring: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        polygon_mask([ring], width=100, height=5000)
