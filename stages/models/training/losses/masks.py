"""Losses of masks inside their boxes: logits, truth and inside, all [P, h, w], -> [P]."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from stages.models.training.losses import classes
from stages.models.training.losses.lovasz import jaccard_extension

MaskLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


def entropy_inside(logits: Tensor, truth: Tensor, inside: Tensor) -> Tensor:
    """Mean cross-entropy over the box's cells (Bolya et al. 2019, "YOLACT", arXiv:1904.02689)."""
    return _mean(classes.binary_cross_entropy(logits, truth), inside)


def focal_inside(logits: Tensor, truth: Tensor, inside: Tensor) -> Tensor:
    """Mean focal loss over the box's cells (Lin et al. 2017, arXiv:1708.02002), both sides of an outline alike."""
    return _mean(classes.focal(logits, truth, alpha=-1.0), inside)


def dice_inside(logits: Tensor, truth: Tensor, inside: Tensor) -> Tensor:
    """1 - Dice coefficient of the box's cells (Milletari et al. 2016, "V-Net", arXiv:1606.04797)."""
    probabilities = logits.sigmoid() * inside
    overlap = (probabilities * truth).sum((1, 2))
    return 1 - (2 * overlap + 1) / (probabilities.sum((1, 2)) + truth.sum((1, 2)) + 1)


def lovasz_hinge_inside(logits: Tensor, truth: Tensor, inside: Tensor) -> Tensor:
    """Lovász hinge of the box's cells (Berman et al. 2018, arXiv:1705.08790): a continuous 1 - IoU."""
    errors = 1 - logits * (2 * truth - 1)
    errors = errors.masked_fill(~inside, -torch.inf)  # sorted behind all others, where they weigh nothing
    return jaccard_extension(errors.flatten(1), truth.flatten(1))


MASK_LOSSES: dict[str, MaskLoss] = {
    "bce": entropy_inside,
    "dice": dice_inside,
    "focal": focal_inside,
    "lovasz": lovasz_hinge_inside,
}
_DEFAULT = {"bce": 1.0, "dice": 1.0}


def mask_loss(
    coefficients: Tensor,
    prototypes: Tensor,
    masks: Tensor,
    boxes: Tensor,
    *,
    kinds: Mapping[str, float] | None = None,
) -> Tensor:
    """Sum over positives of weighted mask losses: a scalar.

    Args:
        coefficients: [P, K].
        prototypes: [K, h, w].
        masks: [P, h, w] bool.
        boxes: [P, 4] xyxy in cells of the prototypes.
        kinds: names of `MASK_LOSSES` and the weight of each; None: cross-entropy and Dice, 1 each.
    """
    logits = (coefficients @ prototypes.flatten(1)).view(-1, *prototypes.shape[1:])  # [P, h, w]
    inside = inside_boxes(boxes, prototypes.shape[1], prototypes.shape[2])  # [P, h, w]
    truth = (masks & inside).to(logits.dtype)
    terms = [weight * MASK_LOSSES[kind](logits, truth, inside) for kind, weight in (kinds or _DEFAULT).items()]
    return torch.stack(terms).sum()


def inside_boxes(boxes: Tensor, height: int, width: int) -> Tensor:
    """Cells that a box touches: xyxy in cells [P, 4] -> [P, height, width] bool."""
    xs = torch.arange(width, device=boxes.device)[None]  # [1, w]
    ys = torch.arange(height, device=boxes.device)[None]
    left, top, right, bottom = boxes[:, :, None].unbind(1)  # [P, 1] each
    columns = (xs + 1 > left) & (xs < right)
    rows = (ys + 1 > top) & (ys < bottom)
    return rows[:, :, None] & columns[:, None]


def _mean(values: Tensor, inside: Tensor) -> Tensor:
    """Means over the cells inside: [P, h, w] -> [P]; 0 where there is none."""
    return (values * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)
