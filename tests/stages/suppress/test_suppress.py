"""Suppression against hand-worked cases, the slow reference and torchvision's rule."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import pytest

from pipeline.config import SuppressConfig
from pipeline.messages import Batch, BatchDetections, Detections, Frame, Surface
from pipeline.stage import Stage
from pipeline.wire import decode_result, encode_result, result_from_json
from stages.suppress import CANDIDATES, METHODS, Method, Suppress, suppress
from stages.suppress.reference import suppress_slowly
from stages.suppress.stage import suppressed
from stages.suppress.suppress import suppress_all
from tests.pipeline.wire.samples import make_result

ALL_METHODS = get_args(Method)

# Two boxes of area 100 that share 50: overlap 50 / 150 = 1/3. A third far away.
PAIR = np.array([[0, 0, 10, 10], [0, 5, 10, 15], [100, 100, 110, 110]], dtype=np.float32)


def crowd(rng: np.random.Generator, count: int, *, classes: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes in clumps, as a dense head gives them, some of them equal in score."""
    clump = rng.integers(0, max(count // 10, 1), count)
    centres = rng.uniform(0, 500, (count, 2))[clump] + rng.normal(0, 8, (count, 2))
    sizes = rng.uniform(20, 120, (count, 2))[clump] * rng.uniform(0.8, 1.2, (count, 2))
    boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1).astype(np.float32)
    scores = rng.uniform(0.01, 1, count).astype(np.float32)
    scores[::7] = np.round(scores[::7], 1)
    return boxes, scores, rng.integers(0, classes, count).astype(np.int32)


def test_gaussian_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.5], dtype=np.float32)
    rows, left = suppress(PAIR, scores, np.zeros(3, dtype=np.int32), sigma=0.5)
    decayed = 0.8 * math.exp(-(1 / 9) / 0.5)  # 0.6406
    assert rows.tolist() == [0, 1, 2]
    assert left == pytest.approx([0.9, decayed, 0.5], abs=1e-6)


def test_decay_changes_the_order() -> None:
    scores = np.array([0.9, 0.8, 0.7], dtype=np.float32)
    rows, left = suppress(PAIR, scores, np.zeros(3, dtype=np.int32), method="soft-linear", iou_threshold=0.3)
    assert rows.tolist() == [0, 2, 1]
    assert left == pytest.approx([0.9, 0.7, 0.8 * 2 / 3], abs=1e-6)


@pytest.mark.parametrize(("iou_threshold", "kept"), [(0.3, [0, 2]), (0.4, [0, 1, 2])])
def test_hard_by_hand(iou_threshold: float, kept: list[int]) -> None:
    scores = np.array([0.9, 0.8, 0.5], dtype=np.float32)
    rows, left = suppress(PAIR, scores, np.zeros(3, dtype=np.int32), method="hard", iou_threshold=iou_threshold)
    assert rows.tolist() == kept
    assert left.tolist() == scores[kept].tolist()


def test_matrix_by_hand() -> None:
    # b overlaps a by 1/3 and c overlaps b by 1/3, a not at all. Of c, the decay by b, exp(-(1/9)/σ), is divided by what
    # a already took from b, exp(-(1/9)/σ): c loses nothing, where soft-NMS would take from it again.
    chain = np.array([[0, 0, 10, 10], [0, 5, 10, 15], [0, 10, 10, 20]], dtype=np.float32)
    scores = np.array([0.9, 0.8, 0.7], dtype=np.float32)
    rows, left = suppress(chain, scores, np.zeros(3, dtype=np.int32), method="matrix", sigma=0.5)
    assert rows.tolist() == [0, 2, 1]
    assert left == pytest.approx([0.9, 0.7, 0.8 * math.exp(-2 / 9)], abs=1e-6)


@pytest.mark.parametrize("method", ALL_METHODS)
@pytest.mark.parametrize("seed", range(8))
def test_equals_the_reference(method: Method, seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes, scores, labels = crowd(rng, [1, 2, 17, 60, 150, 300, 301, 64][seed])
    options = {
        "sigma": float(rng.uniform(0.2, 1.0)),
        "iou_threshold": float(rng.uniform(0.2, 0.8)),
        "score_threshold": [0.0, 0.05, 0.3][seed % 3],
        "max_detections": [1000, 20][seed % 2],
    }
    rows, left = suppress(boxes, scores, labels, method=method, **options)  # type: ignore[arg-type]
    options["score_threshold"] = float(np.float32(options["score_threshold"]))
    slow_rows, slow_left = suppress_slowly(boxes, scores, labels, method=method, **options)  # type: ignore[arg-type]
    assert rows.tolist() == slow_rows.tolist()
    assert left == pytest.approx(slow_left, abs=1e-6)


def test_hard_keeps_what_torchvision_keeps() -> None:
    ops = pytest.importorskip("torchvision.ops")
    torch = pytest.importorskip("torch")
    boxes, scores, labels = crowd(np.random.default_rng(3), 200)
    rows, _ = suppress(
        boxes, scores, labels, method="hard", iou_threshold=0.5, score_threshold=0.0, max_detections=1000
    )
    theirs = ops.batched_nms(torch.tensor(boxes), torch.tensor(scores), torch.tensor(labels), 0.5)
    assert sorted(rows.tolist()) == sorted(theirs.tolist())


@pytest.mark.parametrize("method", ALL_METHODS)
class TestEveryMethod:
    def test_nothing(self, method: Method) -> None:
        empty = Detections.empty()
        rows, left = suppress(empty.boxes, empty.scores, empty.labels, method=method)
        assert rows.shape == left.shape == (0,)

    def test_all_below_the_threshold(self, method: Method) -> None:
        rows, _ = suppress(PAIR, np.full(3, 0.05, np.float32), np.zeros(3, np.int32), method=method)
        assert len(rows) == 0

    def test_equal_scores_fall_to_the_lower_row(self, method: Method) -> None:
        apart = np.array([[0, 0, 1, 1], [5, 5, 6, 6], [9, 9, 10, 10]], dtype=np.float32)
        rows, _ = suppress(apart, np.full(3, 0.5, np.float32), np.zeros(3, np.int32), method=method)
        assert rows.tolist() == [0, 1, 2]

    def test_equal_boxes_and_scores(self, method: Method) -> None:
        same = np.repeat(PAIR[:1], 3, axis=0)
        rows, left = suppress(same, np.full(3, 0.8, np.float32), np.zeros(3, np.int32), method=method)
        assert rows[0] == 0
        assert left[0] == np.float32(0.8)
        assert (left[1:] < 0.2).all()

    def test_labels_do_not_meet_unless_agnostic(self, method: Method) -> None:
        same, scores = np.repeat(PAIR[:1], 2, axis=0), np.array([0.9, 0.8], np.float32)
        labels = np.array([0, 1], dtype=np.int32)
        _, apart = suppress(same, scores, labels, method=method)
        assert apart.tolist() == scores.tolist()
        _, together = suppress(same, scores, labels, method=method, class_agnostic=True, score_threshold=0.3)
        assert together.tolist() == scores[:1].tolist()

    def test_boxes_without_area_and_inside_out(self, method: Method) -> None:
        odd = np.array([[5, 5, 5, 5], [5, 5, 5, 5], [9, 9, 1, 1], [0, 0, 10, 10]], dtype=np.float32)
        rows, left = suppress(odd, np.array([0.9, 0.8, 0.7, 0.6], np.float32), np.zeros(4, np.int32), method=method)
        assert rows.tolist() == [0, 1, 2, 3]
        assert left == pytest.approx([0.9, 0.8, 0.7, 0.6])

    def test_what_is_not_finite_is_dropped(self, method: Method) -> None:
        boxes = PAIR.copy()
        boxes[0, 2] = np.inf
        boxes[2, 0] = np.nan
        rows, _ = suppress(boxes, np.array([0.9, 0.8, 0.9], np.float32), np.zeros(3, np.int32), method=method)
        assert rows.tolist() == [1]
        rows, _ = suppress(PAIR, np.array([np.nan, 0.8, 0.7], np.float32), np.zeros(3, np.int32), method=method)
        assert rows.tolist() == [1, 2]

    def test_arguments_are_not_changed_and_may_be_read_only(self, method: Method) -> None:
        given = crowd(np.random.default_rng(1), 50)
        before = [array.copy() for array in given]
        for array in given:
            array.setflags(write=False)
        suppress(*given, method=method)
        assert all((a == b).all() for a, b in zip(given, before, strict=True))


def test_the_best_candidates_are_taken_first() -> None:
    count = CANDIDATES + 500
    left = np.arange(count, dtype=np.float32) * 4
    boxes = np.stack([left, left * 0, left + 2, left * 0 + 2], axis=1)
    scores = np.linspace(0.2, 0.9, count, dtype=np.float32)
    rows, _ = suppress(boxes, scores, np.zeros(count, np.int32), max_detections=10_000)
    assert rows.tolist() == list(range(count - 1, count - 1 - CANDIDATES, -1))


def test_a_score_equal_to_the_threshold_is_kept() -> None:
    rows, _ = suppress(PAIR[:1], np.array([0.7], np.float32), np.zeros(1, np.int32), score_threshold=0.7)
    assert rows.tolist() == [0]


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ValueError, match="'medium'; one of soft-gaussian, soft-linear, hard, matrix"):
        suppress(PAIR, np.ones(3, np.float32), np.zeros(3, np.int32), method="medium")  # type: ignore[arg-type]


def test_every_method_of_the_configuration_exists() -> None:
    for method in METHODS:
        SuppressConfig(method=method)
    assert set(METHODS) == set(ALL_METHODS)


def frame(seq: int = 0) -> Frame:
    """A small grey frame."""
    surface = Surface(format="rgb24", planes=(np.zeros((4, 4, 3), np.uint8),))
    return Frame("a", 1, seq, seq, Fraction(1, 25), seq * 40_000_000, "pts", 0, surface)


def test_the_stage_keeps_raw_scores_and_coefficients() -> None:
    scores = np.array([0.8, 0.9, 0.5], dtype=np.float32)
    coefficients = np.arange(6, dtype=np.float32).reshape(3, 2)
    found = Detections.of(PAIR, scores, np.zeros(3, dtype=np.int32), coefficients=coefficients)
    stage = Suppress(SuppressConfig())
    assert isinstance(stage, Stage)
    batch = stage(Batch(frames=(frame(0), frame(1)), detections=(found, Detections.empty())))
    assert batch.detections is not None
    first, second = batch.detections
    assert first.raw_scores.tolist() == scores[[1, 0, 2]].tolist()
    assert first.scores[1] < first.raw_scores[1]
    assert first.coefficients is not None
    assert first.coefficients.tolist() == coefficients[[1, 0, 2]].tolist()
    assert len(second) == 0


def test_max_detections_keeps_the_best_after_decay() -> None:
    scores = np.array([0.9, 0.8, 0.7], dtype=np.float32)
    found = Detections.of(PAIR, scores, np.zeros(3, dtype=np.int32))
    config = SuppressConfig(method="soft-linear", iou_threshold=0.3, max_detections=2)
    assert suppressed(BatchDetections.of((found,)), config)[0].raw_scores.tolist() == scores[[0, 2]].tolist()


def test_suppressing_again_keeps_the_networks_scores() -> None:
    scores = np.array([0.9, 0.8, 0.7], dtype=np.float32)
    found = Detections.of(PAIR, scores, np.zeros(3, dtype=np.int32))
    once = suppressed(BatchDetections.of((found,)), SuppressConfig())[0]
    twice = suppressed(BatchDetections.of((replace(once),)), SuppressConfig())[0]
    assert sorted(twice.raw_scores.tolist()) == sorted(scores.tolist())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("most", [0, 40, CANDIDATES + 50])
def test_a_batch_at_once_is_its_frames_one_by_one(method: Method, most: int) -> None:
    rng = np.random.default_rng(most)
    counts = [most, 0, 7, most // 2]
    corners = rng.uniform(0, 200, (sum(counts), 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 60, corners.shape)], axis=1).astype(np.float32)
    boxes[rng.random(len(boxes)) < 0.02] = np.nan
    scores = rng.choice(np.linspace(0, 1, 21, dtype=np.float32), len(boxes))
    labels = rng.integers(0, 3, len(boxes)).astype(np.int32)
    bounds = np.concatenate([[0], np.cumsum(counts)])
    options: dict[str, Any] = {"method": method, "score_threshold": 0.15, "max_detections": 30}
    rows, left, kept_bounds = suppress_all(boxes, scores, labels, bounds, **options)
    assert left.dtype == np.float32
    for i, (first, last) in enumerate(pairwise(bounds.tolist())):
        alone, remaining = suppress(boxes[first:last], scores[first:last], labels[first:last], **options)
        mine = slice(int(kept_bounds[i]), int(kept_bounds[i + 1]))
        assert rows[mine].tolist() == (alone + first).tolist()
        assert left[mine].tobytes() == remaining.tobytes()


@pytest.mark.parametrize("form", ["message", "JSON"])
def test_both_scores_reach_a_reader(form: str) -> None:
    scores = np.array([0.9, 0.8, 0.5], dtype=np.float32)
    found = Detections.of(PAIR, scores, np.zeros(3, dtype=np.int32))
    left = suppressed(BatchDetections.of((found,)), SuppressConfig(method="soft-gaussian", sigma=0.5))[0]
    result = replace(make_result(objects=3), detections=left)
    read = decode_result(encode_result(result, "boxes")) if form == "message" else result_from_json(result.to_dict())
    assert read.detections.raw_scores == pytest.approx(scores)
    assert read.detections.scores == pytest.approx([0.9, 0.8 * math.exp(-2 / 9), 0.5], abs=1e-4)
