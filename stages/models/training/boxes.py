"""Overlap of boxes in xyxy, differentiable.

Sources: generalised IoU, Rezatofighi et al. 2019 (arXiv:1902.09630); distance and complete IoU, Zheng et al. 2020
(1911.08287). Written here because torchvision's complete IoU has no finite slope for a box without height.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_TINY = 1e-7


def area(boxes: Tensor) -> Tensor:
    """[..., 4] -> [...]; a box turned inside out has none."""
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    return sides[..., 0] * sides[..., 1]


def paired_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of boxes that broadcast against each other: [..., 4] and [..., 4] -> [...]."""
    shared = _shared(first, second)
    return shared / (area(first) + area(second) - shared + _TINY)


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """[N, 4] and [M, 4] -> [N, M]."""
    return paired_iou(first[:, None], second[None])


def _shared(first: Tensor, second: Tensor) -> Tensor:
    corner = torch.maximum(first[..., :2], second[..., :2])
    opposite = torch.minimum(first[..., 2:], second[..., 2:])
    return area(torch.cat([corner, opposite], -1))


def generalised_iou(first: Tensor, second: Tensor) -> Tensor:
    """Overlap less the share of the enclosing box that is in neither, in -1..1: [N, 4] and [N, 4] -> [N]."""
    enclosing = area(torch.cat(_enclosing(first, second), -1))
    shared = _shared(first, second)
    union = area(first) + area(second) - shared
    return shared / (union + _TINY) - (enclosing - union) / (enclosing + _TINY)


def distance_iou(first: Tensor, second: Tensor) -> Tensor:
    """Overlap less the squared distance of the centres over the enclosing diagonal's, in -1..1: [N, 4] twice -> [N]."""
    corner, opposite = _enclosing(first, second)
    offset = (first[:, :2] + first[:, 2:] - second[:, :2] - second[:, 2:]) / 2
    return paired_iou(first, second) - offset.square().sum(1) / ((opposite - corner).square().sum(1) + _TINY)


def complete_iou(first: Tensor, second: Tensor) -> Tensor:
    """Distance IoU less the difference in aspect, in -2..1: [N, 4] and [N, 4] -> [N]."""
    iou = paired_iou(first, second)
    turn = (_angle(second) - _angle(first)).square() * (4 / math.pi**2)
    with torch.no_grad():
        weight = turn / (1 - iou + turn + _TINY)
    return distance_iou(first, second) - weight * turn


def _enclosing(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two corners of the smallest boxes around both: [N, 2] each."""
    return torch.minimum(first[:, :2], second[:, :2]), torch.maximum(first[:, 2:], second[:, 2:])


def _angle(boxes: Tensor) -> Tensor:
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=_TINY)
    return torch.atan2(sides[:, 0], sides[:, 1])
