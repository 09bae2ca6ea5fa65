"""Make a score mean the same for every class: at one threshold each class is found as well as it can be.

A network trained on soft targets scores rare and hard classes lower than easy ones, while a run has one threshold for
all. An offset a class, added to its logits, moves the threshold of its best F1 to a common score. Within a class the
order of the boxes, and so its average precision, stays as it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.messages import Detections
from stages.models.labelled.views import is_ignored
from stages.models.nano.evaluate import REFERENCE_WIDTH, EvaluationPlan, analyse, build_stages, samples
from stages.models.world import THINGS

# A run paints masks of boxes from 0.4 and starts tracks from 0.5; the best F1 of a class belongs between the two.
COMMON_SCORE = 0.45
# Fewer hits than this tell nothing about a class; its offset stays 0.
_FEWEST_HITS = 20
_FURTHEST_OFFSET = 2.0


def calibrate(model: Path, *, worlds: int, width: int = 640, height: int = 360) -> list[float]:
    """Offsets of the class logits, from worlds of the training split that were not trained on."""
    plan = EvaluationPlan(split="train", worlds=worlds, width=width, height=height, first_seed=2_000_000)
    stages = build_stages(model)
    scores: list[list[float]] = [[] for _ in THINGS]
    hits: list[list[bool]] = [[] for _ in THINGS]
    totals = np.zeros(len(THINGS), np.int64)
    for index, sample in enumerate(samples(plan)):
        detections, _ = analyse(stages, sample.image, seq=index)
        ignored = is_ignored(sample, scale=REFERENCE_WIDTH / plan.width)
        totals += np.bincount(sample.labels[~ignored], minlength=len(THINGS))
        for label, score, hit in matches(detections, sample.boxes, sample.labels, ignored):
            scores[label].append(score)
            hits[label].append(hit)
    return [offset(*columns) for columns in zip(scores, hits, totals.tolist(), strict=True)]


def matches(
    detections: Detections,
    boxes: NDArray[np.float32],  # [G, 4]
    labels: NDArray[np.int64],  # [G]
    ignored: NDArray[np.bool_],  # [G]
    *,
    iou_threshold: float = 0.5,
) -> Iterable[tuple[int, float, bool]]:
    """Label, score and whether it found an object, for each detection; those on ignored objects are left out.

    Best score first, each takes the free object of its class that it overlaps most, as COCO does.
    """
    free = np.ones(len(boxes), np.bool_)
    for row in np.argsort(-detections.scores, kind="stable"):
        label = int(detections.labels[row])
        overlap = _overlaps(detections.boxes[row], boxes) * (labels == label) * free
        best = int(overlap.argmax()) if len(overlap) else -1
        hit = best >= 0 and overlap[best] >= iou_threshold
        if hit and ignored[best]:
            continue
        if hit:
            free[best] = False
        yield label, float(detections.scores[row]), bool(hit)


def offset(scores: list[float], hits: list[bool], total: int) -> float:
    """What to add to the logits so that the threshold of the best F1 becomes `COMMON_SCORE`."""
    if sum(hits) < _FEWEST_HITS:
        return 0.0
    threshold = best_threshold(np.array(scores), np.array(hits), total)
    shift = _logit(COMMON_SCORE) - _logit(threshold)
    return round(max(-_FURTHEST_OFFSET, min(_FURTHEST_OFFSET, shift)), 3)


def best_threshold(scores: NDArray[np.float64], hits: NDArray[np.bool_], total: int) -> float:
    """The score from which taking all boxes gives the best F1 against `total` objects."""
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(hits[order])
    f1 = 2 * found / (np.arange(1, len(order) + 1) + total)
    return float(scores[order][f1.argmax()])


def _overlaps(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """IoU of one box with each of [G, 4]: [G]."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = sides.clip(0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return np.asarray(shared / np.maximum(areas - shared, 1e-6), np.float32)


def _logit(probability: float) -> float:
    bounded = min(max(probability, 1e-4), 1 - 1e-4)
    return math.log(bounded / (1 - bounded))
