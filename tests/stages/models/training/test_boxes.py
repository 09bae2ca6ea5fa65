"""Overlaps against torchvision and hand-worked boxes."""

from __future__ import annotations

import torch
from torchvision import ops

from stages.models.training.boxes import complete_iou, paired_iou, pairwise_iou


def random_boxes(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * 80
    return torch.cat([corners, corners + 1 + torch.rand(count, 2, generator=generator) * 60], 1)


def test_pairwise_overlap_equals_torchvision() -> None:
    first, second = random_boxes(40, 1), random_boxes(30, 2)
    assert torch.allclose(pairwise_iou(first, second), ops.box_iou(first, second), atol=1e-5)


def test_complete_overlap_equals_torchvision() -> None:
    first, second = random_boxes(50, 3), random_boxes(50, 4)
    expected = 1 - ops.complete_box_iou_loss(first, second)
    assert torch.allclose(complete_iou(first, second), expected, atol=1e-4)


def test_complete_overlap_pulls_separate_boxes_together() -> None:
    apart = torch.tensor([[0.0, 0, 10, 10]], requires_grad=True)
    complete_iou(apart, torch.tensor([[50.0, 0, 60, 10]])).sum().backward()
    assert apart.grad is not None
    assert apart.grad[0, 0] + apart.grad[0, 2] > 0  # the centre moves right, where plain overlap has no gradient


def test_a_box_turned_inside_out_overlaps_nothing() -> None:
    inside_out, whole = torch.tensor([[10.0, 10, 0, 0]]), torch.tensor([[0.0, 0, 10, 10]])
    assert float(paired_iou(inside_out, whole)[0]) == 0.0


def test_no_boxes_is_ordinary() -> None:
    none = torch.zeros(0, 4)
    assert pairwise_iou(none, random_boxes(3, 5)).shape == (0, 3)
    assert complete_iou(none, none).shape == (0,)
