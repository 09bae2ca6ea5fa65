"""Labels over time: what a track bears out, and what it fills."""

from __future__ import annotations

import numpy as np
import pytest

from stages.models.adaptation.following import FrameLabels, followed
from stages.models.adaptation.found import Found

THRESHOLDS = np.array([0.5, 0.5], np.float32)


def walk(scores: list[float | None], *, step: float = 2.0, agreed: list[bool] | None = None) -> list[Found]:
    """A person of 20 x 40 who moves `step` pixels a frame; None: not found."""
    frames = []
    for i, score in enumerate(scores):
        if score is None:
            frames.append(Found.empty())
            continue
        box = [10 + step * i, 10, 30 + step * i, 50]
        frames.append(Found.of([box], [score], [0], [True if agreed is None else agreed[i]]))
    return frames


def labels(found: list[Found], *, support: int = 3) -> list[FrameLabels]:
    return followed(found, np.arange(len(found)) / 10, THRESHOLDS, support=support)


def test_a_track_that_was_seen_often_enough_is_certain_from_its_first_frame_on() -> None:
    assert [one.certain.tolist() for one in labels(walk([0.9, 0.9, 0.9]))] == [[True]] * 3


def test_a_box_that_no_track_bears_out_is_doubtful() -> None:
    found = walk([None, None, 0.9, None, None, None])
    assert labels(found)[2].certain.tolist() == [False]
    assert [one.certain.tolist() for one in labels(walk([0.9, 0.9]), support=3)] == [[False], [False]]


def test_a_box_that_one_look_shows_is_doubtful_in_a_good_track_too() -> None:
    found = walk([0.9] * 4, agreed=[True, True, True, False])
    assert [one.certain.tolist() for one in labels(found)] == [[True], [True], [True], [False]]


def test_a_weak_box_is_doubtful_and_a_very_weak_one_is_nothing() -> None:
    result = labels(walk([0.9, 0.9, 0.9, 0.9, 0.3, 0.2]))
    assert result[4].certain.tolist() == [False]
    assert len(result[5]) == 0


def test_a_weak_box_between_two_sure_ones_is_certain() -> None:
    result = labels(walk([0.9, 0.9, 0.3, 0.9, 0.9]))
    assert result[2].certain.tolist() == [True]
    assert result[2].boxes.tolist() == [[14, 10, 34, 50]]


def test_a_hole_of_two_frames_is_filled_between_its_ends() -> None:
    result = labels(walk([0.9, 0.8, None, None, 0.7, 0.9]))
    assert result[2].boxes[0].tolist() == pytest.approx([14, 10, 34, 50])
    assert result[3].boxes[0].tolist() == pytest.approx([16, 10, 36, 50])
    assert result[2].certain.tolist() == [True]  # it moved 6 of 20 pixels
    assert result[2].scores.tolist() == pytest.approx([0.7])


def test_what_moved_far_in_a_hole_is_put_in_as_doubtful() -> None:
    result = labels(walk([0.9, 0.9, 0.9, None, 0.9, 0.9], step=6.0))
    assert len(result[3]) == 1
    assert result[3].certain.tolist() == [False]


def test_a_longer_hole_stays_one() -> None:
    result = labels(walk([0.9, 0.9, 0.9, None, None, None, 0.9, 0.9]))
    assert [len(one) for one in result[3:6]] == [0, 0, 0]


def test_classes_have_their_own_thresholds() -> None:
    found = [Found.of([[0, 0, 20, 40], [50, 0, 90, 30]], [0.6, 0.6], [0, 1], [True, True]) for _ in range(4)]
    result = followed(found, np.arange(4) / 10, np.array([0.5, 0.7], np.float32))
    assert [one.certain.tolist() for one in result] == [[True, False]] * 4


def test_no_frames_and_no_boxes() -> None:
    assert followed([], np.zeros(0), THRESHOLDS) == []
    assert [len(one) for one in labels([Found.empty(), Found.empty()])] == [0, 0]
