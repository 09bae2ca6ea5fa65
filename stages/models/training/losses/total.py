"""All losses of a batch: which anchor answers for which object, what each learns, and how much it counts."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from stages.models.nano.network import MASK_STRIDE, NEAREST_DISTANCE, NanoOutput, anchor_points
from stages.models.training.assign import Assignment, assign
from stages.models.training.losses.boxes import box_loss, distribution_loss
from stages.models.training.losses.classes import class_loss
from stages.models.training.losses.config import LossSettings
from stages.models.training.losses.masks import mask_loss
from stages.models.training.losses.stuff import semantic_loss
from stages.models.training.losses.target import Target


def total_loss(
    output: NanoOutput,
    targets: list[Target],
    *,
    settings: LossSettings | None = None,
    class_weights: Tensor | None = None,
    masks_per_object: int = 2,
) -> dict[str, Tensor]:
    """The weighted terms of a batch by name; their sum is what to minimise.

    A class that is not known in a picture (`Target.known`) is taught where it is, and nowhere that it is not. An object
    without a cell in `Target.instances` teaches no mask.

    Args:
        output: the network's answer for N pictures.
        targets: N ground truths.
        settings: which losses are taken, and how much each counts.
        class_weights: [classes] weights of the semantic classes, or None for equal ones.
        masks_per_object: masks are learnt at this many of an object's best anchors; they cost more than boxes.
    """
    settings = settings or LossSettings()
    weights, output = settings.weights, in_full(output)
    height, width = (side * MASK_STRIDE for side in output.semantic.shape[2:])
    anchors = anchor_points(height, width, device=output.boxes.device)
    pictures = [
        _of_picture(output, index, target, anchors, settings, masks_per_object) for index, target in enumerate(targets)
    ]
    sums = _Sums(*(torch.stack(parts).sum() for parts in zip(*pictures, strict=True)))
    maps = torch.stack([target.semantic for target in targets])
    semantic = semantic_loss(output.semantic, maps, class_weights, kinds=settings.semantic)
    terms = {
        "classes": weights.classes * sums.classes / (1 + sums.targets),
        "boxes": weights.boxes * sums.boxes / (1 + sums.weights),
        "masks": weights.masks * sums.masks / sums.masked.clamp(min=1),
        "semantic": weights.semantic * semantic,
    }
    if output.distances is not None:
        terms["distances"] = weights.distances * sums.distances / (1 + sums.weights)
    return terms


class _Sums(NamedTuple):
    """Terms of a picture, and what they are shared by; scalars that stay on the device, which nobody waits for."""

    classes: Tensor
    boxes: Tensor
    distances: Tensor
    masks: Tensor
    targets: Tensor  # of class scores
    weights: Tensor  # of boxes
    masked: Tensor  # how many anchors learn a mask


def _of_picture(
    output: NanoOutput, index: int, target: Target, anchors: Tensor, settings: LossSettings, masks_per_object: int
) -> _Sums:
    logits, boxes = output.class_logits[index], output.boxes[index]
    with torch.no_grad():
        found = assign(logits.sigmoid(), boxes, anchors, target.boxes, target.labels)
    truth = target.boxes[found.objects]
    distances = boxes.new_zeros(())
    if output.distances is not None:
        distances = _distance_term(output.distances[index], found, truth, anchors)
    chosen = _with_mask(best_of_each(found, masks_per_object), found, target)
    return _Sums(
        classes=_class_term(logits, found, target, anchors, settings),
        boxes=box_loss(boxes[found.anchors], truth, found.weights, kind=settings.boxes),
        distances=distances,
        masks=_mask_term(output, index, found, chosen, target, settings),
        # Early targets are tiny; an object counts at least half, or the background would be all of the loss.
        targets=found.targets.sum().clamp(min=len(target.boxes) / 2),
        weights=found.weights.sum(),
        masked=found.weights.new_full((), len(chosen)),
    )


def in_full(output: NanoOutput) -> NanoOutput:
    """The answer in float32: losses are not to be taken in half precision."""
    return NanoOutput._make(part if part is None else part.float() for part in output)


def best_of_each(found: Assignment, count: int) -> Tensor:
    """Positions of each object's `count` positives with the highest targets: [at most G * count]."""
    order = found.targets.argsort(descending=True, stable=True)
    order = order[found.objects[order].argsort(stable=True)]  # by object, best first
    objects = found.objects[order]
    starts = torch.searchsorted(objects, objects)  # where each one's object begins
    rank = torch.arange(len(order), device=order.device) - starts
    return order[rank < count]


def _class_term(logits: Tensor, found: Assignment, target: Target, anchors: Tensor, settings: LossSettings) -> Tensor:
    wanted = torch.zeros_like(logits)
    wanted[found.anchors, target.labels[found.objects]] = found.targets
    counted = ~_in_any(anchors, target.ignored)
    counted[found.anchors] = True
    if target.known is not None:
        counted = counted[:, None] & (target.known | (wanted > 0))
    return class_loss(logits, wanted, counted, kind=settings.classes)


def _distance_term(logits: Tensor, found: Assignment, boxes: Tensor, anchors: Tensor) -> Tensor:
    """Weighted sum over positives of the mean over four sides: [A, 4, bins + 1], P, [P, 4], [A, 3] -> scalar."""
    points, strides = anchors[found.anchors, :2], anchors[found.anchors, 2:]
    distances = torch.cat([points - boxes[:, :2], boxes[:, 2:] - points], 1) / strides  # [P, 4]
    losses = distribution_loss(logits[found.anchors], distances - NEAREST_DISTANCE)
    return (losses.mean(1) * found.weights).sum()


def _with_mask(chosen: Tensor, found: Assignment, target: Target) -> Tensor:
    """Those of the chosen positives whose object has a cell at least."""
    cells = torch.bincount(target.instances.flatten(), minlength=len(target.boxes) + 1)
    return chosen[cells[found.objects[chosen] + 1] > 0]


def _mask_term(
    output: NanoOutput, index: int, found: Assignment, chosen: Tensor, target: Target, settings: LossSettings
) -> Tensor:
    objects = found.objects[chosen]
    coefficients = output.coefficients[index][found.anchors[chosen]]
    masks = target.instances[None] == (objects + 1).to(torch.uint8)[:, None, None]
    boxes = target.boxes[objects] / MASK_STRIDE
    return mask_loss(coefficients, output.prototypes[index], masks, boxes, kinds=settings.masks)


def _in_any(anchors: Tensor, boxes: Tensor) -> Tensor:
    """Whether an anchor's centre lies in any of the boxes: [A, 3], [I, 4] -> [A] bool."""
    points = anchors[:, None, :2]  # [A, 1, 2]
    return ((points >= boxes[:, :2]) & (points <= boxes[:, 2:])).all(-1).any(-1)
