"""Pascal VOC's average precision by hand."""

from __future__ import annotations

import numpy as np
import pytest

from stages.models.evaluation.voc_precision import VocPrecision, all_points, eleven_points
from tests.stages.models.evaluation.made import found

BOX = np.array([[0, 0, 10, 10], [50, 0, 60, 10]], np.float32)
ONE_CLASS, COUNTED = np.zeros(2, np.int64), np.zeros(2, np.bool_)


def test_curves_by_hand() -> None:
    # Right, wrong, right of two objects: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1.
    recall, precision = np.array([0.5, 0.5, 1.0]), np.array([1.0, 0.5, 2 / 3])
    assert all_points(recall, precision) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert eleven_points(recall, precision) == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)


def test_nothing_found_is_nothing() -> None:
    nothing = np.zeros(0)
    assert all_points(nothing, nothing) == eleven_points(nothing, nothing) == 0.0


def test_a_second_box_on_an_object_is_wrong_even_where_another_is_free() -> None:
    voc = VocPrecision(("person",))
    twice = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [50, 0, 60, 10]], np.float32)
    voc.add(found(twice, [0, 0, 0], [0.9, 0.8, 0.7]), BOX, ONE_CLASS, COUNTED)
    assert voc.by_class()["person"]["voc_ap"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_difficult_objects_count_neither_way() -> None:
    voc = VocPrecision(("person", "car"))
    voc.add(found(BOX, [0, 0], [0.5, 0.9]), BOX, ONE_CLASS, np.array([False, True]))
    assert voc.by_class()["person"]["voc_ap"] == pytest.approx(1.0)
    assert voc.by_class()["car"]["voc_ap"] is None


def test_boxes_of_a_class_with_missing_labels_count_only_where_they_are_right() -> None:
    voc = VocPrecision(("person",))
    voc.add(found(BOX, [0, 0], [0.9, 0.5]), BOX[1:], ONE_CLASS[1:], COUNTED[1:], open_labels={0})
    assert voc.by_class()["person"]["voc_ap"] == pytest.approx(1.0)


def test_overlap_of_exactly_a_half_is_not_enough() -> None:
    voc = VocPrecision(("person",))
    voc.add(found(np.array([[0, 0, 10, 5]]), [0], [0.9]), BOX[:1], ONE_CLASS[:1], COUNTED[:1])
    assert voc.by_class()["person"]["voc_ap"] == 0.0
