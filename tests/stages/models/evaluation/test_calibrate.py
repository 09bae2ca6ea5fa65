"""Offsets that make a score mean the same for every class, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stages.models.evaluation.calibrate import COMMON_SCORE, best_threshold, completed, offset


def test_best_threshold_by_hand() -> None:
    scores, hits = np.array([0.9, 0.6, 0.3, 0.2]), np.array([True, True, False, True])
    assert best_threshold(scores, hits, 3) == pytest.approx(0.2)  # F1 6/7
    assert best_threshold(scores, hits, 2) == pytest.approx(0.6)  # F1 1


def test_offset_moves_the_best_threshold_to_the_common_score() -> None:
    scores, hits = [0.3] * 30, [True] * 30
    shift = offset(scores, hits, 30)
    assert shift is not None
    shifted = math.log(0.3 / 0.7) + shift
    assert 1 / (1 + math.exp(-shifted)) == pytest.approx(COMMON_SCORE, abs=1e-3)
    assert offset([0.3], [True], 1) is None  # too few to know


def test_classes_that_nothing_is_known_of_are_moved_as_the_others_are() -> None:
    assert completed([0.5, None, 1.0, None]) == [0.5, 0.75, 1.0, 0.75]
    assert completed([None, None]) == [0.0, 0.0]
    assert completed([]) == []
