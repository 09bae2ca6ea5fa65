"""Evaluation must give a perfect answer full marks, and ignored objects none either way; calibration by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.messages import Detections
from stages.models.nano.box_precision import BoxPrecision
from stages.models.nano.calibrate import COMMON_SCORE, best_threshold, matches, offset
from stages.models.nano.commands import parser
from stages.models.nano.segment_quality import SegmentQuality

BOXES = np.array([[0, 0, 10, 10], [20, 0, 40, 20]], np.float32)
LABELS = np.array([0, 1])
NONE = np.zeros(2, np.bool_)


def found(boxes: np.ndarray, labels: list[int], scores: list[float]) -> Detections:
    return Detections.of(boxes.astype(np.float32), np.array(scores, np.float32), np.array(labels, np.int32))


def test_perfect_boxes_have_full_precision() -> None:
    pytest.importorskip("faster_coco_eval", reason="needs faster-coco-eval, of the eval extra")
    precision = BoxPrecision(("person", "car", "bus"))
    precision.add(found(BOXES, [0, 1], [0.9, 0.8]), truth_boxes=BOXES, truth_labels=LABELS, ignored=NONE)
    ap, ap50 = precision.by_class()
    assert ap == ap50 == {"person": pytest.approx(1.0), "car": pytest.approx(1.0), "bus": None}


def test_boxes_on_ignored_objects_count_for_nothing() -> None:
    pytest.importorskip("faster_coco_eval", reason="needs faster-coco-eval, of the eval extra")
    precision = BoxPrecision(("person", "car"))
    both = np.concatenate([BOXES, BOXES + 100])
    ignored = np.array([False, False, True, True])
    detections = found(both, [0, 1, 0, 1], [0.5, 0.5, 0.9, 0.9])
    precision.add(detections, truth_boxes=both, truth_labels=np.array([0, 1, 0, 1]), ignored=ignored)
    assert precision.by_class()[1] == {"person": pytest.approx(1.0), "car": pytest.approx(1.0)}


def test_no_boxes_have_no_precision() -> None:
    precision = BoxPrecision(("person", "car", "bus"))
    precision.add(Detections.empty(), truth_boxes=BOXES, truth_labels=LABELS, ignored=NONE)
    assert precision.by_class()[1] == {"person": 0.0, "car": 0.0, "bus": None}


def test_a_perfect_map_has_full_quality_and_void_is_free() -> None:
    pytest.importorskip("torchmetrics", reason="needs torchmetrics, of the eval extra")
    quality = SegmentQuality(("car", "road"), things=1)
    truth = np.zeros((8, 8, 2), np.int64)
    truth[:4] = (1, 0)
    truth[4:6] = (0, 1)
    truth[6:] = (-1, 0)
    guess = truth.copy()
    guess[6:] = (0, 5)  # something found where nothing can be known
    quality.add(guess, truth)
    assert quality.by_class() == {"car": pytest.approx(1.0), "road": pytest.approx(1.0)}
    assert quality.quality()["all"]["pq"] == pytest.approx(1.0)


def test_matching_takes_each_object_once() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 40, 20], [50, 0, 60, 10]], np.float32)
    detections = found(boxes, [0, 0, 0, 1], [0.6, 0.9, 0.5, 0.4])
    assert [(label, hit) for label, _, hit in matches(detections, BOXES, LABELS, NONE)] == [
        (0, True),
        (0, False),
        (0, False),
        (1, False),
    ]
    without_truth = list(matches(detections, BOXES[:0], LABELS[:0], NONE[:0]))
    assert not any(hit for _, _, hit in without_truth)


def test_best_threshold_by_hand() -> None:
    scores, hits = np.array([0.9, 0.6, 0.3, 0.2]), np.array([True, True, False, True])
    assert best_threshold(scores, hits, 3) == pytest.approx(0.2)  # F1 6/7
    assert best_threshold(scores, hits, 2) == pytest.approx(0.6)  # F1 1


def test_offset_moves_the_best_threshold_to_the_common_score() -> None:
    scores, hits = [0.3] * 30, [True] * 30
    shifted = math.log(0.3 / 0.7) + offset(scores, hits, 30)
    assert 1 / (1 + math.exp(-shifted)) == pytest.approx(COMMON_SCORE, abs=1e-3)
    assert offset([0.3], [True], 1) == 0.0  # too few to know


def test_help_shows_examples() -> None:
    assert "python -m stages.models.nano train" in parser().format_help()
