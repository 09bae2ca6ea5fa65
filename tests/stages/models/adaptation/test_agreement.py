"""Two looks and several teachers: what they agree on, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from stages.models.adaptation.agreement import agreed_by_mirror, merged, without_rivals
from stages.models.adaptation.found import Found, mirrored, pairs
from stages.models.overlap import overlaps

PERSON, CAR = 0, 1


def one(box: list[float], score: float, label: int = PERSON, *, agreed: bool = False) -> Found:
    return Found.of([box], [score], [label], [agreed])


def test_overlap_of_boxes_by_hand() -> None:
    first = np.array([[0, 0, 10, 10]], np.float32)
    second = np.array([[5, 0, 15, 10], [0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
    assert overlaps(first, second)[0].tolist() == pytest.approx([1 / 3, 1, 0])
    assert overlaps(first, second[:0]).shape == (1, 0)


def test_the_mirror_image_of_the_mirror_image_is_the_box() -> None:
    found = one([10, 5, 30, 40], 0.9)
    assert mirrored(found, width=100).boxes.tolist() == [[70, 5, 90, 40]]
    assert np.array_equal(mirrored(mirrored(found, width=100), width=100).boxes, found.boxes)


def test_boxes_pair_by_overlap_and_each_once() -> None:
    first = Found.of([[0, 0, 10, 10], [1, 0, 11, 10]], [0.5, 0.9], [PERSON, PERSON])
    second = Found.of([[1, 0, 11, 10]], [0.8], [PERSON])
    assert pairs(first, second, iou=0.5).tolist() == [-1, 0]
    assert pairs(first, one([1, 0, 11, 10], 0.8, CAR), iou=0.5).tolist() == [-1, -1]


def test_a_box_that_both_looks_show_is_their_mean() -> None:
    joined = agreed_by_mirror(one([0, 0, 10, 20], 0.9), one([2, 0, 12, 20], 0.7))
    assert joined.boxes.tolist() == [[1, 0, 11, 20]]
    assert joined.scores.tolist() == pytest.approx([0.8])
    assert joined.agreed.tolist() == [True]


@pytest.mark.parametrize(
    "other", [one([60, 0, 70, 20], 0.8), one([0, 0, 10, 20], 0.8, CAR)], ids=["elsewhere", "another class"]
)
def test_a_box_that_one_look_shows_is_kept_and_not_agreed(other: Found) -> None:
    joined = agreed_by_mirror(one([0, 0, 10, 20], 0.9), other)
    assert len(joined) == 2
    assert not joined.agreed.any()
    assert sorted(joined.scores.tolist()) == pytest.approx([0.8, 0.9])


def test_nothing_agrees_with_nothing() -> None:
    assert len(agreed_by_mirror(Found.empty(), Found.empty())) == 0
    assert len(merged([Found.empty(), Found.empty()], np.ones((2, 2), np.bool_))) == 0


def test_two_teachers_boxes_are_weighed_by_their_scores() -> None:
    looks = [one([0, 0, 10, 10], 0.9, agreed=True), one([1, 0, 11, 10], 0.3)]
    joined = merged(looks, np.ones((2, 2), np.bool_))
    assert joined.boxes[0].tolist() == pytest.approx([0.25, 0, 10.25, 10])
    assert joined.scores.tolist() == pytest.approx([0.6])
    assert joined.agreed.tolist() == [True]


def test_what_one_of_two_teachers_misses_scores_half_unless_only_one_knows_the_class() -> None:
    looks = [one([0, 0, 10, 10], 0.8, CAR, agreed=True), Found.empty()]
    both = merged(looks, np.ones((2, 2), np.bool_))
    assert both.scores.tolist() == pytest.approx([0.4])
    alone = merged(looks, np.array([[True, True], [True, False]]))
    assert alone.scores.tolist() == pytest.approx([0.8])


def test_by_agreement_every_teacher_that_knows_the_class_must_be_sure() -> None:
    knows = np.ones((2, 2), np.bool_)
    sure, unsure = one([0, 0, 10, 10], 0.8, agreed=True), one([0, 0, 10, 10], 0.8)
    assert merged([sure, sure], knows, merge="agreement").agreed.tolist() == [True]
    assert merged([sure, unsure], knows, merge="agreement").agreed.tolist() == [False]
    assert merged([sure, Found.empty()], knows, merge="agreement").agreed.tolist() == [False]
    assert merged([sure, Found.empty()], knows[:, :1] & [[True], [False]], merge="agreement").agreed.tolist() == [True]


def test_boxes_of_one_teacher_are_never_joined() -> None:
    twins = Found.of([[0, 0, 10, 10], [1, 0, 11, 10]], [0.9, 0.8], [PERSON, PERSON])
    assert len(merged([twins, one([0, 0, 10, 10], 0.5)], np.ones((2, 2), np.bool_))) == 2


def test_of_two_classes_at_one_place_the_weaker_is_doubtful() -> None:
    boxes = [[0, 0, 40, 20], [0, 0, 40, 21], [60, 0, 100, 20], [5, 0, 15, 20]]
    found = Found.of(boxes, [0.6, 0.8, 0.5, 0.7], [CAR, 2, CAR, PERSON], [True] * 4)
    told = without_rivals(found)
    assert told.agreed.tolist() == [False, True, True, True]  # a person in front of a car is no rival
    assert told.scores.tolist() == found.scores.tolist()
    assert len(without_rivals(Found.empty())) == 0
