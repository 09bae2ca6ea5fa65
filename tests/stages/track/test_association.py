"""Overlaps and assignment against plain Python."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from tests.stages.track.slow.association import assign, gated_iou


def slow_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Overlap over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    overlap = width * height
    return float(overlap / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap))


def test_gated_overlaps() -> None:
    rng = np.random.default_rng(2)
    corners = rng.uniform(0, 60, (2, 12, 2))
    tracks, boxes = np.concatenate([corners, corners + rng.uniform(5, 60, (2, 12, 2))], axis=2).astype(np.float32)
    labels = rng.integers(0, 2, (2, 12)).astype(np.int32)
    rows, columns = np.array([0, 3, 5, 11]), np.array([7, 1, 2, 9, 10])
    ious = gated_iou(tracks, labels[0], rows, boxes, labels[1], columns, 0.1)
    for r, row in enumerate(rows):
        for c, column in enumerate(columns):
            expected = slow_iou(tracks[row].astype(float), boxes[column].astype(float))
            allowed = expected >= 0.1 and labels[0, row] == labels[1, column]
            assert ious[r, c] == pytest.approx(expected if allowed else 0.0, abs=1e-5)
    assert (ious > 0).any()


def test_assignment_takes_the_largest_sum() -> None:
    rng = np.random.default_rng(4)
    for _ in range(30):
        ious = rng.uniform(0, 1, (3, 5)) * (rng.random((3, 5)) < 0.6)
        rows, columns = assign(ious)
        best = max(sum(ious[r, c] for r, c in enumerate(p)) for p in permutations(range(5), 3))
        assert ious[rows, columns].sum() == pytest.approx(best)
        assert (ious[rows, columns] > 0).all()


def test_nothing_to_assign() -> None:
    rows, columns = assign(np.zeros((3, 2)))
    assert len(rows) == len(columns) == 0
