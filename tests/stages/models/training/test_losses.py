"""Each loss term against a hand-worked case or a plain loop."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F
from torchvision import ops

from stages.models.training.losses import (
    BOX_LOSSES,
    CLASS_LOSSES,
    MASK_LOSSES,
    STUFF_LOSSES,
    VOID,
    box_loss,
    class_loss,
    distribution_loss,
    inside_boxes,
    mask_loss,
    semantic_loss,
)
from stages.models.training.losses.classes import focal
from stages.models.training.losses.lovasz import jaccard_extension, jaccard_steps


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


def random_boxes(count: int, seed: int, *, side: float = 60.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * side
    return torch.cat([corners, corners + 1 + torch.rand(count, 2, generator=generator) * side], 1)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("giou", ops.generalized_box_iou_loss),
        ("diou", ops.distance_box_iou_loss),
        ("ciou", ops.complete_box_iou_loss),
        ("iou", lambda first, second: 1 - ops.box_iou(first, second).diagonal()),
    ],
)
def test_box_losses_are_torchvisions(name: str, reference) -> None:
    first, second = random_boxes(200, 0).requires_grad_(), random_boxes(200, 1)
    own, other = BOX_LOSSES[name](first, second), reference(first, second)
    assert torch.allclose(own, other, atol=1e-5)
    slope, other_slope = (torch.autograd.grad(loss.sum(), first)[0] for loss in (own, other))
    assert torch.allclose(slope, other_slope, atol=1e-4)


def test_box_losses_by_hand() -> None:
    first, second = torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[4.0, 0, 6, 2]])
    expected = {
        "iou": 1.0,
        "giou": 1 + (12 - 8) / 12,  # 12 around both, 8 in either
        "diou": 1 + 16 / 40,  # 4 apart, a diagonal of 6 by 2
        "ciou": 1 + 16 / 40,  # of one aspect
    }
    assert {name: float(loss(first, second)) for name, loss in BOX_LOSSES.items()} == pytest.approx(expected)


@pytest.mark.parametrize("name", sorted(BOX_LOSSES))
def test_box_losses_of_degenerate_boxes_are_finite(name: str) -> None:
    wild = torch.tensor(
        [[5.0, 5, 5, 5], [9, 9, 1, 1], [-1e5, -1e5, 1e5, 1e5], [0, 0, 1e-8, 4], [5, 5, 5, 5]], requires_grad=True
    )
    boxes = torch.tensor([[0.0, 0, 8, 8], [0, 0, 8, 8], [0, 0, 8, 8], [0, 0, 0, 0], [5, 5, 5, 5]])
    loss = BOX_LOSSES[name](wild, boxes)
    assert torch.isfinite(loss).all()
    assert torch.isfinite(torch.autograd.grad(loss.sum(), wild)[0]).all()
    assert BOX_LOSSES[name](torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0,)


def test_distributed_distances_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3), 0.0]])  # 1/5, 3/5, 1/5
    assert float(distribution_loss(logits, torch.tensor([1.0]))) == pytest.approx(math.log(5 / 3))
    assert float(distribution_loss(logits, torch.tensor([0.25]))) == pytest.approx(
        0.75 * math.log(5) + 0.25 * math.log(5 / 3)
    )
    assert float(distribution_loss(logits, torch.tensor([7.0]))) == pytest.approx(math.log(5), abs=1e-2)
    assert float(distribution_loss(logits, torch.tensor([-7.0]))) == pytest.approx(math.log(5))


def test_distributed_distances_equal_a_loop() -> None:
    torch.manual_seed(0)
    logits, bins = torch.randn(6, 4, 9), torch.rand(6, 4) * 8
    losses = distribution_loss(logits, bins)
    for row in range(6):
        for side in range(4):
            value, shares = float(bins[row, side]), logits[row, side].softmax(0)
            below = math.floor(value)
            expected = -(below + 1 - value) * math.log(shares[below]) - (value - below) * math.log(shares[below + 1])
            assert float(losses[row, side]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("alpha", [0.25, 0.6, -1.0])
@pytest.mark.parametrize("gamma", [2.0, 1.5])
def test_focal_is_torchvisions(alpha: float, gamma: float) -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(50, 4) * 4, (torch.rand(50, 4) > 0.7).float()
    expected = ops.sigmoid_focal_loss(logits, targets, alpha=alpha, gamma=gamma)
    assert torch.allclose(focal(logits, targets, alpha=alpha, gamma=gamma), expected, atol=1e-5)


def test_class_losses_of_a_score_of_one_half() -> None:
    logits, targets = torch.zeros(1, 1), torch.ones(1, 1)
    expected = {"bce": math.log(2), "focal": 0.25 * 0.25 * math.log(2), "quality-focal": 0.25 * math.log(2)}
    assert {name: float(loss(logits, targets)) for name, loss in CLASS_LOSSES.items()} == pytest.approx(expected)


def test_class_loss_leaves_out_single_columns() -> None:
    logits, targets = torch.tensor([[2.0, -1.0]]), torch.zeros(1, 2)
    one = class_loss(logits, targets, torch.tensor([[True, False]]), kind="bce")
    assert float(one) == pytest.approx(math.log(1 + math.exp(2)))


def jaccard_by_sets(wrong: set[int], truth: set[int]) -> float:
    """1 - IoU of a prediction that is wrong in some pixels: those of the truth missed, the others added."""
    predicted = truth ^ wrong
    union = predicted | truth
    return 1 - len(predicted & truth) / len(union) if union else 0.0


@pytest.mark.parametrize("seed", range(5))
def test_the_extension_is_that_of_the_set_function(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    errors, truth = torch.rand(7, generator=generator), (torch.rand(7, generator=generator) > 0.5).float()
    members = {index for index in range(7) if truth[index]}
    expected, wrong, before = 0.0, set(), 0.0
    for index in errors.argsort(descending=True).tolist():
        wrong.add(index)
        now = jaccard_by_sets(wrong, members)
        expected += float(errors[index]) * (now - before)
        before = now
    assert float(jaccard_extension(errors, truth)) == pytest.approx(expected, rel=1e-5)
    assert float(jaccard_steps(truth).sum()) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(5))
def test_the_extension_of_whole_errors_is_one_less_iou(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    wrong, truth = (torch.rand(30, generator=generator) > 0.6 for _ in range(2))
    predicted = truth ^ wrong
    iou = float((predicted & truth).sum() / (predicted | truth).sum())
    assert float(jaccard_extension(wrong.float(), truth.float())) == pytest.approx(1 - iou, abs=1e-6)


def mask_case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    inside = torch.zeros(3, 5, 6, dtype=torch.bool)
    inside[:, 1:4, 2:6] = True
    inside[2] = False  # a box beside the picture
    truth = ((torch.rand(3, 5, 6) > 0.5) & inside).float()
    return torch.randn(3, 5, 6, dtype=torch.float64) * 3, truth.double(), inside


@pytest.mark.parametrize("name", sorted(MASK_LOSSES))
def test_mask_losses_have_true_slopes_and_none_outside(name: str) -> None:
    logits, truth, inside = mask_case()
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: MASK_LOSSES[name](x, truth, inside), logits)
    (slope,) = torch.autograd.grad(MASK_LOSSES[name](logits, truth, inside).sum(), logits)
    assert (slope[~inside] == 0).all()
    assert MASK_LOSSES[name](logits, truth, inside)[2] == 0


@pytest.mark.parametrize("name", sorted(MASK_LOSSES))
def test_mask_losses_of_the_truth_are_nothing_and_of_its_contrary_much(name: str) -> None:
    _, truth, inside = mask_case()
    right = MASK_LOSSES[name](60 * (2 * truth - 1), truth, inside)
    wrong = MASK_LOSSES[name](-60 * (2 * truth - 1), truth, inside)
    assert right.abs().max() < 1e-4
    assert wrong[:2].min() > 0.9


@pytest.mark.parametrize("name", sorted(MASK_LOSSES))
def test_mask_losses_stay_finite(name: str) -> None:
    _, truth, inside = mask_case()
    logits = (1e4 * (2 * torch.rand(3, 5, 6) - 1)).requires_grad_()
    loss = MASK_LOSSES[name](logits, truth.float(), inside).sum()
    assert torch.isfinite(loss)
    assert torch.isfinite(torch.autograd.grad(loss, logits)[0]).all()
    none = torch.zeros(0, 5, 6)
    assert MASK_LOSSES[name](none, none, none.bool()).shape == (0,)


def test_mask_losses_add_up_by_weight() -> None:
    torch.manual_seed(0)
    coefficients, prototypes, masks = torch.randn(2, 3), torch.randn(3, 4, 4), torch.rand(2, 4, 4) > 0.5
    boxes = torch.tensor([[0.0, 0, 3, 3], [1, 1, 4, 4]])
    alone = {k: float(mask_loss(coefficients, prototypes, masks, boxes, kinds={k: 1.0})) for k in MASK_LOSSES}
    both = mask_loss(coefficients, prototypes, masks, boxes, kinds={"bce": 2.0, "lovasz": 0.5})
    assert float(both) == pytest.approx(2 * alone["bce"] + 0.5 * alone["lovasz"], rel=1e-5)
    usual = mask_loss(coefficients, prototypes, masks, boxes)
    assert float(usual) == pytest.approx(alone["bce"] + alone["dice"], rel=1e-5)


def map_case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    targets = torch.randint(0, 3, (2, 4, 5)).to(torch.uint8)  # the last of four classes is not there
    targets[0, :2] = VOID
    return torch.randn(2, 4, 4, 5, dtype=torch.float64), targets, torch.tensor([2.0, 1, 0.5, 1]).double()


@pytest.mark.parametrize("name", sorted(STUFF_LOSSES))
@pytest.mark.parametrize("weighted", [False, True])
def test_stuff_losses_equal_a_loop(name: str, weighted: bool) -> None:
    logits, targets, weights = map_case()
    given = weights if weighted else None
    assert float(STUFF_LOSSES[name](logits, targets, given)) == pytest.approx(
        stuff_by_loops(name, logits, targets, weights if weighted else torch.ones(4)), rel=1e-6
    )


def stuff_by_loops(name: str, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> float:
    pixels = [
        (logits[n, :, y, x].softmax(0), int(targets[n, y, x]))
        for n in range(2)
        for y in range(4)
        for x in range(5)
        if targets[n, y, x] != VOID
    ]
    if name in ("cross-entropy", "focal"):
        power = 2 if name == "focal" else 0
        each = [-math.log(p[t]) * float(weights[t]) * (1 - float(p[t])) ** power for p, t in pixels]
        return sum(each) / len(pixels)
    if name == "ohem":
        hard = [(p, t) for p, t in pixels if p[t] < 0.7]
        assert len(pixels) / 16 < len(hard) < len(pixels)
        return sum(-math.log(p[t]) * float(weights[t]) for p, t in hard) / len(hard)
    each = []
    for label in range(3):
        if name == "dice":
            overlap = sum(float(p[label]) for p, t in pixels if t == label)
            both = sum(float(p[label]) for p, _ in pixels) + sum(t == label for _, t in pixels)
            each.append(1 - (2 * overlap + 1) / (both + 1))
        else:
            errors = torch.stack([(p[label] - float(t == label)).abs() for p, t in pixels])
            truth = torch.tensor([float(t == label) for _, t in pixels])
            each.append(float(jaccard_extension(errors, truth)))
    return sum(loss * float(w) for loss, w in zip(each, weights, strict=False)) / float(weights[:3].sum())


def test_hard_examples_are_a_sixteenth_at_least() -> None:
    targets = torch.zeros(1, 4, 8, dtype=torch.uint8)
    logits = torch.zeros(1, 2, 4, 8)
    logits[:, 0] = torch.arange(32).view(4, 8) + 3.0  # all easy: the two least sure are taken
    expected = F.cross_entropy(logits, targets.long(), reduction="none").flatten()[:2].mean()
    assert float(STUFF_LOSSES["ohem"](logits, targets, None)) == pytest.approx(float(expected))


@pytest.mark.parametrize("name", sorted(STUFF_LOSSES))
def test_stuff_losses_have_true_slopes(name: str) -> None:
    logits, targets, weights = map_case()
    assert torch.autograd.gradcheck(lambda x: STUFF_LOSSES[name](x, targets, weights), logits.requires_grad_())


@pytest.mark.parametrize("name", sorted(STUFF_LOSSES))
def test_stuff_losses_stay_finite_and_void_teaches_nothing(name: str) -> None:
    _, targets, _ = map_case()
    logits = (1e4 * (2 * torch.rand(2, 4, 4, 5) - 1)).requires_grad_()
    loss = STUFF_LOSSES[name](logits, targets, None)
    (slope,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(loss)
    assert torch.isfinite(slope).all()
    assert (slope[0, :, :2] == 0).all()
    nothing = STUFF_LOSSES[name](logits, torch.full_like(targets, VOID), None)
    assert float(nothing.detach()) == 0
    assert (torch.autograd.grad(nothing, logits)[0] == 0).all()


def test_semantic_losses_add_up_by_weight() -> None:
    logits, targets, weights = map_case()
    alone = {name: float(loss(logits, targets, weights)) for name, loss in STUFF_LOSSES.items()}
    both = semantic_loss(logits, targets, weights, kinds={"ohem": 1.0, "dice": 0.3})
    assert float(both) == pytest.approx(alone["ohem"] + 0.3 * alone["dice"])
    assert float(semantic_loss(logits, targets, weights)) == pytest.approx(alone["cross-entropy"])


@pytest.mark.parametrize("name", sorted(CLASS_LOSSES))
def test_class_losses_stay_finite(name: str) -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 30.0]], requires_grad=True)
    loss = CLASS_LOSSES[name](logits, torch.tensor([[1.0, 1, 0.5], [1, 0, 0]])).sum()
    assert torch.isfinite(loss)
    assert torch.isfinite(torch.autograd.grad(loss, logits)[0]).all()
