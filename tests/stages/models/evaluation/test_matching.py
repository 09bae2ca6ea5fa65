"""Which detection found which object, by hand."""

from __future__ import annotations

import numpy as np

from stages.models.evaluation.matching import box_confusion, matches
from tests.stages.models.evaluation.made import BOXES, LABELS, NONE, found


def test_matching_takes_each_object_once() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 40, 20], [50, 0, 60, 10]], np.float32)
    detections = found(boxes, [0, 0, 0, 1], [0.6, 0.9, 0.5, 0.4])
    seen = [(match.row, match.label, match.hit) for match in matches(detections, BOXES, LABELS, NONE)]
    assert seen == [(1, 0, True), (0, 0, False), (2, 0, False), (3, 1, False)]
    without_truth = list(matches(detections, BOXES[:0], LABELS[:0], NONE[:0]))
    assert len(without_truth) == 4
    assert not any(match.hit for match in without_truth)


def test_boxes_in_a_crowd_of_their_class_count_for_nothing() -> None:
    crowd = np.array([[0, 0, 100, 100]], np.float32)
    inside = found(np.array([[10, 10, 20, 20], [10, 10, 20, 20], [95, 0, 115, 10]]), [0, 1, 0], [0.9, 0.8, 0.7])
    seen = [match.row for match in matches(inside, crowd, np.array([0]), np.array([True]))]
    assert seen == [1, 2]  # another class; a quarter inside


def test_open_labels_are_never_wrong() -> None:
    detections = found(np.concatenate([BOXES, BOXES + 100]), [0, 1, 0, 1], [0.9, 0.8, 0.7, 0.6])
    seen = [(match.label, match.hit) for match in matches(detections, BOXES, LABELS, NONE, open_labels={0})]
    assert seen == [(0, True), (1, True), (1, False)]


def test_confusion_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 0, 40, 20], [60, 60, 70, 70], [90, 90, 99, 99]], np.float32)
    labels = np.array([0, 1, 0, 1])
    ignored = np.array([False, False, False, True])
    detections = found(
        np.array([[0, 0, 10, 10], [20, 0, 40, 20], [20, 0, 40, 19], [90, 90, 99, 99], [200, 0, 210, 9]]),
        [0, 0, 1, 1, 0],
        [0.5, 0.9, 0.4, 0.9, 0.3],
    )
    # The car is taken for a person by the best box; the car's own box then finds it gone.
    expected = [[1, 0, 1], [1, 0, 0], [1, 1, 0]]
    assert box_confusion(detections, boxes, labels, ignored, classes=2).tolist() == expected


def test_confusion_prefers_the_own_class_of_two_objects_in_one_place() -> None:
    same = np.array([[0, 0, 10, 10], [0, 0, 10, 9]], np.float32)
    detections = found(same[:1], [1], [0.9])
    counts = box_confusion(detections, same, np.array([0, 1]), NONE, classes=2)
    assert counts.tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 0]]
