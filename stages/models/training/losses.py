"""What the network is trained on: four terms, each a pure function, and their weighted sum.

Class scores: quality focal loss (Li et al. 2020, arXiv:2006.04388) against the assignment's soft targets. Boxes:
complete IoU (1911.08287). Masks: cross-entropy inside the box (YOLACT, 1904.02689) and dice (Milletari et al. 2016,
1606.04797). Semantic map: cross-entropy over labelled pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from stages.models.nano.network import MASK_STRIDE, NanoOutput, anchor_points
from stages.models.training.assign import Assignment, assign
from stages.models.training.boxes import complete_iou

VOID = 255


@dataclass(frozen=True, slots=True)
class Target:
    """Ground truth of one picture. G = objects, h = H / 4, w = W / 4."""

    boxes: Tensor  # [G, 4] xyxy float32, input pixels
    labels: Tensor  # [G] int64
    ignored: Tensor  # [I, 4] boxes in which no score is right or wrong
    instances: Tensor  # [h, w] uint8: 0 none, 1 + index into boxes
    semantic: Tensor  # [h, w] uint8: class, 255 void


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """How much each term counts."""

    classes: float = 2.0
    boxes: float = 2.5
    masks: float = 1.5
    semantic: float = 1.5


def class_loss(logits: Tensor, targets: Tensor, counted: Tensor) -> Tensor:
    """Quality focal loss of one picture, summed: logits, targets [A, C]; counted [A] bool, False where ignored.

    Each cross-entropy weighs as the squared error of its score. Without that, thousands of background cells outweigh
    the few positive ones and the finest level stays silent for hundreds of steps.
    """
    entropies = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    error = (targets - logits.detach().sigmoid()).square()
    return (entropies * error * counted[:, None]).sum()


def box_loss(predicted: Tensor, boxes: Tensor, weights: Tensor) -> Tensor:
    """Sum of weighted 1 - CIoU: [P, 4], [P, 4], [P] -> scalar."""
    return ((1 - complete_iou(predicted, boxes)) * weights).sum()


def mask_loss(coefficients: Tensor, prototypes: Tensor, masks: Tensor, boxes: Tensor) -> Tensor:
    """Sum over positives of mean cross-entropy inside the box plus dice: a scalar.

    Args:
        coefficients: [P, K].
        prototypes: [K, h, w].
        masks: [P, h, w] bool.
        boxes: [P, 4] xyxy in cells of the prototypes.
    """
    logits = (coefficients @ prototypes.flatten(1)).view(-1, *prototypes.shape[1:])  # [P, h, w]
    inside = inside_boxes(boxes, prototypes.shape[1], prototypes.shape[2])  # [P, h, w]
    truth = (masks & inside).to(logits.dtype)
    entropies = F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * inside
    entropy = entropies.sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)
    probabilities = logits.sigmoid() * inside
    overlap = (probabilities * truth).sum((1, 2))
    dice = 1 - (2 * overlap + 1) / (probabilities.sum((1, 2)) + truth.sum((1, 2)) + 1)
    return (entropy + dice).sum()


def inside_boxes(boxes: Tensor, height: int, width: int) -> Tensor:
    """Cells that a box touches: xyxy in cells [P, 4] -> [P, height, width] bool."""
    xs = torch.arange(width, device=boxes.device)[None]  # [1, w]
    ys = torch.arange(height, device=boxes.device)[None]
    left, top, right, bottom = boxes[:, :, None].unbind(1)  # [P, 1] each
    columns = (xs + 1 > left) & (xs < right)
    rows = (ys + 1 > top) & (ys < bottom)
    return rows[:, :, None] & columns[:, None]


def semantic_loss(logits: Tensor, targets: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over labelled pixels: [N, C, h, w], [N, h, w] uint8 with 255 for void -> scalar."""
    entropies = F.cross_entropy(logits, targets.long(), class_weights, ignore_index=VOID, reduction="sum")
    return entropies / (targets != VOID).sum().clamp(min=1)


def total_loss(
    output: NanoOutput,
    targets: list[Target],
    *,
    weights: LossWeights | None = None,
    class_weights: Tensor | None = None,
    masks_per_object: int = 2,
) -> dict[str, Tensor]:
    """The weighted terms of a batch by name; their sum is what to minimise.

    Args:
        output: the network's answer for N pictures.
        targets: N ground truths.
        weights: how much each term counts.
        class_weights: [classes] weights of the semantic classes, or None for equal ones.
        masks_per_object: mask losses are taken at this many of an object's best anchors; masks cost more than boxes.
    """
    weights = weights or LossWeights()
    height, width = (side * MASK_STRIDE for side in output.semantic.shape[2:])
    anchors = anchor_points(height, width, device=output.boxes.device)
    classes, boxes, masks = [], [], []
    target_sum, box_weight, mask_count = 1.0, 1.0, 0
    logits, coefficients, prototypes = (
        t.float() for t in (output.class_logits, output.coefficients, output.prototypes)
    )
    for index, target in enumerate(targets):
        with torch.no_grad():
            found = assign(logits[index].sigmoid(), output.boxes[index], anchors, target.boxes, target.labels)
        # Early targets are tiny; an object counts at least half, or the background would be all of the loss.
        target_sum += max(float(found.targets.sum()), len(target.boxes) / 2)
        box_weight += float(found.weights.sum())
        classes.append(_class_term(logits[index], found, target, anchors))
        boxes.append(box_loss(output.boxes[index][found.anchors], target.boxes[found.objects], found.weights))
        chosen = best_of_each(found, masks_per_object)
        mask_count += len(chosen)
        objects = found.objects[chosen]
        picked = coefficients[index][found.anchors[chosen]]
        truth = target.instances[None] == (objects + 1).to(torch.uint8)[:, None, None]
        masks.append(mask_loss(picked, prototypes[index], truth, target.boxes[objects] / MASK_STRIDE))
    semantic = semantic_loss(output.semantic.float(), torch.stack([t.semantic for t in targets]), class_weights)
    return {
        "classes": weights.classes * torch.stack(classes).sum() / target_sum,
        "boxes": weights.boxes * torch.stack(boxes).sum() / box_weight,
        "masks": weights.masks * torch.stack(masks).sum() / max(mask_count, 1),
        "semantic": weights.semantic * semantic,
    }


def best_of_each(found: Assignment, count: int) -> Tensor:
    """Positions of each object's `count` positives with the highest targets: [at most G * count]."""
    order = found.targets.argsort(descending=True, stable=True)
    order = order[found.objects[order].argsort(stable=True)]  # by object, best first
    objects = found.objects[order]
    starts = torch.searchsorted(objects, objects)  # where each one's object begins
    rank = torch.arange(len(order), device=order.device) - starts
    return order[rank < count]


def _class_term(logits: Tensor, found: Assignment, target: Target, anchors: Tensor) -> Tensor:
    wanted = torch.zeros_like(logits)
    wanted[found.anchors, target.labels[found.objects]] = found.targets
    counted = ~_in_any(anchors, target.ignored)
    counted[found.anchors] = True
    return class_loss(logits, wanted, counted)


def _in_any(anchors: Tensor, boxes: Tensor) -> Tensor:
    """Whether an anchor's centre lies in any of the boxes: [A, 3], [I, 4] -> [A] bool."""
    points = anchors[:, None, :2]  # [A, 1, 2]
    return ((points >= boxes[:, :2]) & (points <= boxes[:, 2:])).all(-1).any(-1)
