"""Overlap of boxes in xyxy, differentiable.

Source of the complete overlap, with its distance and aspect terms: Zheng et al. 2020 (arXiv:1911.08287).
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
    corner = torch.maximum(first[..., :2], second[..., :2])
    opposite = torch.minimum(first[..., 2:], second[..., 2:])
    shared = area(torch.cat([corner, opposite], -1))
    return shared / (area(first) + area(second) - shared + _TINY)


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """[N, 4] and [M, 4] -> [N, M]."""
    return paired_iou(first[:, None], second[None])


def complete_iou(first: Tensor, second: Tensor) -> Tensor:
    """Overlap less the distance of the centres and the difference in aspect, in -2..1: [N, 4] and [N, 4] -> [N]."""
    iou = paired_iou(first, second)
    enclosing = torch.maximum(first[:, 2:], second[:, 2:]) - torch.minimum(first[:, :2], second[:, :2])  # [N, 2]
    offset = (first[:, :2] + first[:, 2:] - second[:, :2] - second[:, 2:]) / 2
    distance = offset.square().sum(1) / (enclosing.square().sum(1) + _TINY)
    turn = (_angle(second) - _angle(first)).square() * (4 / math.pi**2)
    with torch.no_grad():
        weight = turn / (1 - iou + turn + _TINY)
    return iou - distance - weight * turn


def _angle(boxes: Tensor) -> Tensor:
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=_TINY)
    return torch.atan2(sides[:, 0], sides[:, 1])
