"""From which score on a box is a label."""

from __future__ import annotations

import numpy as np
import pytest

from stages.models.adaptation.found import Found
from stages.models.adaptation.thresholds import CONFIRMED_SHARE, HIGHEST, LOWEST, USUAL, confirmed_from, thresholds_for


def column(scores: np.ndarray, agreed: np.ndarray, label: int = 0) -> Found:
    boxes = np.zeros((len(scores), 4), np.float32)
    return Found(boxes, scores.astype(np.float32), np.full(len(scores), label), agreed)


def test_the_lowest_score_from_which_nine_in_ten_are_confirmed() -> None:
    scores = np.linspace(0.99, 0.01, 99)
    agreed = scores > 0.6
    threshold = confirmed_from(scores.astype(np.float32), agreed)
    assert agreed[scores >= threshold].mean() >= CONFIRMED_SHARE
    assert agreed[scores >= threshold - 0.02].mean() < CONFIRMED_SHARE


def test_bounds_and_too_few() -> None:
    scores = np.linspace(0.99, 0.01, 99).astype(np.float32)
    assert confirmed_from(scores, np.ones(99, np.bool_)) == LOWEST
    assert confirmed_from(scores, np.zeros(99, np.bool_)) == HIGHEST
    assert confirmed_from(scores[:5], np.ones(5, np.bool_)) == USUAL


def test_a_given_threshold_stands_and_classes_are_told_apart() -> None:
    scores = np.linspace(0.99, 0.01, 99)
    found = [column(scores, np.ones(99, np.bool_), 0), column(scores, np.zeros(99, np.bool_), 1)]
    given = thresholds_for(found, ["person", "car", "bus"], given={"bus": 0.61})
    assert given.tolist() == pytest.approx([LOWEST, HIGHEST, 0.61])
    assert thresholds_for([], ["person"]).tolist() == [USUAL]
