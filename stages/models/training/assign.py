"""Which anchors learn which object: task-aligned assignment.

Source: Feng et al. 2021, "TOOD: Task-aligned One-stage Object Detection" (arXiv:2108.07755): an anchor is worth
`score ** score_power * iou ** iou_power` to an object; each object takes its few best anchors, and the class target of
an anchor follows its worth, so that the best box also learns the best score. Unlike there, an object's best anchor has
full weight in the box loss whatever its overlap: weighted by overlap, small objects, which start with none, would
never learn.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from stages.models.training.boxes import pairwise_iou


class Assignment(NamedTuple):
    """The positive anchors of one picture. P = number of positives, sorted by anchor."""

    anchors: Tensor  # [P] int64, index of the anchor
    objects: Tensor  # [P] int64, index of its object
    targets: Tensor  # [P] float32, what its class score should be, in (0, 1]
    weights: Tensor  # [P] float32, its worth over that of its object's best, in (0, 1]


def candidates(anchors: Tensor, boxes: Tensor, *, radius: float) -> Tensor:
    """Whether each anchor's centre lies in each box, tiny boxes widened to `radius` pixels around their centre.

    Args:
        anchors: [A, 3] x, y, stride.
        boxes: [G, 4] xyxy.
        radius: pixels; about the finest stride, so that an object between four cells still has one.

    Returns:
        [G, A] bool.
    """
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2  # [G, 2]
    halves = ((boxes[:, 2:] - boxes[:, :2]) / 2).clamp(min=radius)
    distance = (anchors[None, :, :2] - centres[:, None]).abs()  # [G, A, 2]
    return (distance < halves[:, None]).all(-1)


def assign(
    scores: Tensor,
    predicted: Tensor,
    anchors: Tensor,
    boxes: Tensor,
    labels: Tensor,
    *,
    per_object: int = 10,
    score_power: float = 0.5,
    iou_power: float = 4.0,
    radius: float = 8.0,
) -> Assignment:
    """Give each object its best anchors; an anchor wanted by several objects goes to the one it overlaps most.

    Args:
        scores: [A, C] class probabilities as predicted now.
        predicted: [A, 4] boxes as predicted now, xyxy.
        anchors: [A, 3] x, y, stride.
        boxes: [G, 4] true boxes, xyxy.
        labels: [G] their classes.
        per_object: anchors an object takes at most.
        score_power: weight of the score in an anchor's worth.
        iou_power: weight of the overlap in an anchor's worth.
        radius: pixels; see `candidates`.
    """
    if len(boxes) == 0:
        nothing = anchors.new_zeros(0, dtype=torch.int64)
        return Assignment(nothing, nothing, anchors.new_zeros(0), anchors.new_zeros(0))
    inside = candidates(anchors, boxes, radius=radius)  # [G, A]
    columns = inside.any(0).nonzero()[:, 0]  # few anchors can win: score only those
    inside = inside[:, columns]
    iou = pairwise_iou(boxes, predicted[columns]).clamp(min=1e-3)  # [G, a]
    worth = scores[columns][:, labels].T.clamp(min=1e-6) ** score_power * iou**iou_power * inside
    best = worth.topk(min(per_object, worth.shape[1]), dim=1)
    chosen = torch.zeros_like(inside).scatter_(1, best.indices, best.values > 0)
    owner = torch.where(chosen, iou, -1.0).argmax(0)  # [a]
    positive = chosen.any(0).nonzero()[:, 0]
    objects = owner[positive]
    own_worth, own_iou = worth[objects, positive], iou[objects, positive]  # [P]
    weights = own_worth / _best(own_worth, objects, len(boxes))
    targets = (weights * _best(own_iou, objects, len(boxes))).clamp(0, 1)
    return Assignment(columns[positive], objects, targets, weights)


def _best(values: Tensor, objects: Tensor, count: int) -> Tensor:
    """The highest value of each one's object: [P]."""
    return values.new_zeros(count).scatter_reduce(0, objects, values, "amax")[objects]
