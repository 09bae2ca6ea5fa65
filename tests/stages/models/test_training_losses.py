"""Each loss term against a hand-worked case or a plain loop."""

from __future__ import annotations

import math

import pytest
import torch

from stages.models.nano.network import NanoOutput
from stages.models.training.losses import (
    VOID,
    Target,
    box_loss,
    class_loss,
    inside_boxes,
    mask_loss,
    semantic_loss,
    total_loss,
)


def test_class_loss_is_quality_focal() -> None:
    logits, targets = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.5]])
    # 0.5^2 * ln 2 for the first; the second is exactly right, so it weighs nothing
    assert float(class_loss(logits, targets, torch.tensor([True]))) == pytest.approx(0.25 * math.log(2))


def test_class_loss_leaves_out_ignored_anchors() -> None:
    logits = torch.tensor([[5.0], [5.0]])
    both = class_loss(logits, torch.zeros(2, 1), torch.tensor([True, True]))
    one = class_loss(logits, torch.zeros(2, 1), torch.tensor([True, False]))
    assert float(both) == pytest.approx(2 * float(one))


def test_box_loss_of_equal_boxes_is_nothing() -> None:
    boxes = torch.tensor([[0.0, 0, 8, 8], [4, 4, 9, 20]])
    assert float(box_loss(boxes, boxes, torch.ones(2))) == pytest.approx(0, abs=1e-4)
    assert float(box_loss(boxes, boxes.flip(0), torch.zeros(2))) == 0.0


def test_inside_boxes_equals_a_loop() -> None:
    boxes = torch.tensor([[0.0, 0, 2, 1], [1.2, 0.5, 3.5, 2.0], [2, 2, 2, 2]])
    expected = torch.zeros(3, 3, 4, dtype=torch.bool)
    for index, (left, top, right, bottom) in enumerate(boxes.tolist()):
        for y in range(3):
            for x in range(4):
                expected[index, y, x] = x + 1 > left and x < right and y + 1 > top and y < bottom
    assert torch.equal(inside_boxes(boxes, 3, 4), expected)


def test_mask_loss_counts_only_inside_the_box() -> None:
    prototypes = torch.full((1, 4, 4), -20.0)
    prototypes[0, :2, :2] = 20.0
    masks = torch.zeros(1, 4, 4, dtype=torch.bool)
    masks[0, :2, :2] = True
    masks[0, 3, 3] = True  # another part, outside the box: not this positive's business
    box = torch.tensor([[0.0, 0, 3, 3]])
    assert float(mask_loss(torch.ones(1, 1), prototypes, masks, box)) == pytest.approx(0, abs=1e-4)
    wrong = float(mask_loss(-torch.ones(1, 1), prototypes, masks, box))
    assert wrong == pytest.approx(
        20 + 1 - 1 / (5 + 4 + 1), abs=1e-3
    )  # cross-entropy 20; dice of disjoint 5 and 4 cells


def test_semantic_loss_is_the_mean_over_labelled_pixels() -> None:
    logits = torch.tensor([[[[2.0, 0.0]], [[0.0, 0.0]]]])  # [1, 2, 1, 2]
    targets = torch.tensor([[[0, VOID]]], dtype=torch.uint8)
    assert float(semantic_loss(logits, targets)) == pytest.approx(math.log(1 + math.exp(-2)))
    assert float(semantic_loss(logits, torch.full_like(targets, VOID))) == 0.0


def test_a_batch_without_objects_still_teaches() -> None:
    torch.manual_seed(0)
    height, width, anchors = 32, 64, 32 + 8 + 2
    output = NanoOutput(
        torch.zeros(1, anchors, 5, requires_grad=True),
        torch.zeros(1, anchors, 4),
        torch.zeros(1, anchors, 6),
        torch.zeros(1, 6, height // 4, width // 4),
        torch.zeros(1, 10, height // 4, width // 4),
    )
    empty = Target(
        boxes=torch.zeros(0, 4),
        labels=torch.zeros(0, dtype=torch.int64),
        ignored=torch.zeros(0, 4),
        instances=torch.zeros(height // 4, width // 4, dtype=torch.uint8),
        semantic=torch.full((height // 4, width // 4), 5, dtype=torch.uint8),
    )
    terms = total_loss(output, [empty])
    assert float(terms["boxes"]) == float(terms["masks"]) == 0.0
    assert float(terms["classes"].detach()) > 0
    assert float(terms["semantic"]) == pytest.approx(1.5 * math.log(10), rel=1e-4)
