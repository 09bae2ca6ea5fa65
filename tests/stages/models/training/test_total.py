"""The weighted sum of all losses: as it was, by other names, with classes and masks that are not known, and broken."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from stages.models.nano.network import NEAREST_DISTANCE, NanoOutput, anchor_points
from stages.models.training.losses import (
    BOX_LOSSES,
    CLASS_LOSSES,
    MASK_LOSSES,
    STUFF_LOSSES,
    VOID,
    LossSettings,
    LossWeightSettings,
    Target,
    total_loss,
)

HEIGHT, WIDTH, THINGS, CLASSES, COEFFICIENTS = 64, 96, 3, 5, 4


def wave(*shape: int, low: float, high: float, pace: float) -> Tensor:
    """Numbers that look random and are the same with every version of everything."""
    values = torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) * pace)
    return (low + (high - low) * (values + 1) / 2).reshape(shape).float()


def answer(*, bins: int = 0) -> NanoOutput:
    anchors = anchor_points(HEIGHT, WIDTH)
    count = len(anchors)
    centres = anchors[None, :, :2] + wave(2, count, 2, low=-6, high=6, pace=0.7)
    halves = wave(2, count, 2, low=4, high=30, pace=1.3)
    return NanoOutput(
        wave(2, count, THINGS, low=-6, high=3, pace=2.1),
        torch.cat([centres - halves, centres + halves], -1),
        wave(2, count, COEFFICIENTS, low=-1, high=1, pace=0.9),
        wave(2, COEFFICIENTS, HEIGHT // 4, WIDTH // 4, low=-2, high=2, pace=0.37),
        wave(2, CLASSES, HEIGHT // 4, WIDTH // 4, low=-2, high=2, pace=1.7),
        wave(2, count, 4, bins + 1, low=-2, high=2, pace=0.23) if bins else None,
    )


def truth() -> list[Target]:
    """Two objects in the first picture, one in the second, a corner to ignore, void above."""
    targets = []
    for boxes, labels in (([[8, 8, 40, 40], [50, 20, 90, 60]], [0, 2]), ([[4, 30, 60, 62]], [1])):
        instances = torch.zeros(HEIGHT // 4, WIDTH // 4, dtype=torch.uint8)
        semantic = torch.full_like(instances, 3)
        semantic[:4] = VOID
        for index, (left, top, right, bottom) in enumerate(boxes):
            instances[top // 4 + 1 : bottom // 4, left // 4 : right // 4 - 1] = index + 1
            semantic[instances == index + 1] = labels[index]
        ignored = torch.tensor([[70.0, 0, 96, 18]])
        targets.append(Target(torch.tensor(boxes).float(), torch.tensor(labels), ignored, instances, semantic))
    return targets


def empty() -> Target:
    return Target(
        boxes=torch.zeros(0, 4),
        labels=torch.zeros(0, dtype=torch.int64),
        ignored=torch.zeros(0, 4),
        instances=torch.zeros(HEIGHT // 4, WIDTH // 4, dtype=torch.uint8),
        semantic=torch.full((HEIGHT // 4, WIDTH // 4), VOID, dtype=torch.uint8),
    )


def values(terms: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(term.detach()) for name, term in terms.items()}


def test_the_default_gives_what_it_always_gave() -> None:
    # Figures of the losses that trained the first weights, on the same numbers.
    expected = {"classes": 176.0905, "boxes": 1.3590189, "masks": 1.6487937, "semantic": 3.2118666}
    assert values(total_loss(answer(), truth())) == pytest.approx(expected, rel=1e-5)
    more = total_loss(
        answer(),
        truth(),
        masks_per_object=3,
        class_weights=torch.tensor([2.0, 2, 2, 1, 1]),
    )
    expected |= {"masks": 1.6530504, "semantic": 4.4327185}
    assert values(more) == pytest.approx(expected, rel=1e-5)


def test_weights_scale_their_terms() -> None:
    weights = LossWeightSettings(classes=1.0, boxes=5.0, masks=3.0, semantic=0.0)
    once = values(total_loss(answer(), truth()))
    other = values(total_loss(answer(), truth(), settings=LossSettings(weights=weights)))
    expected = {"classes": once["classes"] / 2, "boxes": once["boxes"] * 2, "masks": once["masks"] * 2, "semantic": 0}
    assert other == pytest.approx(expected)


@pytest.mark.parametrize("name", sorted(BOX_LOSSES))
def test_a_box_loss_by_name_changes_that_term_alone(name: str) -> None:
    terms, usual = (values(total_loss(answer(), truth(), settings=LossSettings(boxes=kind))) for kind in (name, "ciou"))
    assert (terms["boxes"] == usual["boxes"]) == (name == "ciou")
    assert all(terms[term] == usual[term] for term in ("classes", "masks", "semantic"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"boxes": "eiou"}, "loss.boxes: 'eiou'; there are iou, giou, diou, ciou"),
        ({"classes": "hinge"}, "loss.classes: 'hinge'"),
        ({"masks": {}}, "loss.masks: there is none"),
        ({"semantic": {"dice": 1.0, "tversky": 1.0}}, "loss.semantic: 'tversky'"),
    ],
)
def test_names_of_no_loss_are_refused(config: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LossSettings(**config)


def test_targets_go_to_a_device_whole() -> None:
    target = replace(truth()[0], known=torch.tensor([True, False, True]))
    moved = target.to(torch.device("meta"))
    for name in ("boxes", "labels", "ignored", "instances", "semantic", "known"):
        assert getattr(moved, name).is_meta
        assert getattr(moved, name).shape == getattr(target, name).shape
    assert truth()[0].to(torch.device("cpu")).known is None


def slopes(targets: list[Target], part: str) -> Tensor:
    output = answer()
    leaf = getattr(output, part).clone().requires_grad_()
    terms = total_loss(output._replace(**{part: leaf}), targets)
    return torch.autograd.grad(torch.stack(list(terms.values())).sum(), leaf)[0]


def test_a_class_that_is_not_known_teaches_no_background() -> None:
    first, second = truth()
    known = replace(first, known=torch.tensor([True, False, False]))
    everything, some = slopes([first, second], "class_logits"), slopes([known, second], "class_logits")
    assert torch.equal(everything[1], some[1])
    assert torch.equal(everything[0, :, 0], some[0, :, 0])
    assert (everything[0, :, 1] != 0).any()
    assert (some[0, :, 1] == 0).all()  # neither known nor there
    taught = some[0, :, 2] != 0  # not known, yet one of it has a box: its anchors learn it
    assert 0 < int(taught.sum()) <= 10
    assert torch.equal(everything[0, taught, 2], some[0, taught, 2])


def test_all_known_is_none_known_to_be_missing() -> None:
    targets = [replace(target, known=torch.ones(THINGS, dtype=torch.bool)) for target in truth()]
    assert values(total_loss(answer(), targets)) == values(total_loss(answer(), truth()))


def test_an_object_without_cells_teaches_no_mask() -> None:
    first, second = truth()
    instances = first.instances.clone()
    instances[instances == 2] = 0
    without = values(total_loss(answer(), [replace(first, instances=instances), second]))
    # what is left is the loss of a picture that never had the object, in boxes that the assignment finds alike
    alone = replace(first, boxes=first.boxes[:1], labels=first.labels[:1], instances=instances)
    assert without["masks"] == pytest.approx(values(total_loss(answer(), [alone, second]))["masks"], rel=1e-5)
    assert without["boxes"] == values(total_loss(answer(), [first, second]))["boxes"]
    nothing = [replace(target, instances=torch.zeros_like(target.instances)) for target in truth()]
    assert values(total_loss(answer(), nothing))["masks"] == 0


def test_a_batch_without_objects_still_teaches() -> None:
    targets = [replace(empty(), semantic=torch.full((16, 24), 4, dtype=torch.uint8)) for _ in range(2)]
    flat = answer()._replace(semantic=torch.zeros(2, CLASSES, 16, 24))
    terms = values(total_loss(flat, targets))
    assert terms["boxes"] == terms["masks"] == 0.0
    assert terms["classes"] > 0
    assert terms["semantic"] == pytest.approx(1.5 * math.log(CLASSES), rel=1e-4)


# Terms do not meet, so that a list of choices beside each other tries what all pairs of them would.
CHOICES = [
    ("bce", "bce", "cross-entropy"),
    ("focal", "dice", "ohem"),
    ("quality-focal", "focal", "focal"),
    ("focal", "lovasz", "dice"),
    ("quality-focal", "lovasz", "lovasz"),
]


def test_the_choices_tried_are_all_there_are() -> None:
    for column, names in enumerate((CLASS_LOSSES, MASK_LOSSES, STUFF_LOSSES)):
        assert {choice[column] for choice in CHOICES} == set(names)


@pytest.mark.parametrize(("classes", "masks", "stuff"), CHOICES)
@pytest.mark.parametrize("huge", [False, True], ids=["tame", "huge"])
def test_every_choice_is_finite_with_slopes(classes: str, masks: str, stuff: str, huge: bool) -> None:
    output = answer(bins=8)
    if huge:
        output = NanoOutput(*(part * 1e4 for part in output))
    leaves = [part.clone().requires_grad_() for part in output]
    first = truth()[0]
    broken = replace(first, boxes=torch.tensor([[8.0, 8, 8, 40], [50, 20, 50, 20]]))  # boxes of no area
    settings = LossSettings(classes=classes, boxes="giou", masks={masks: 1.0}, semantic={stuff: 1.0})
    for targets in (truth(), [empty(), empty()], [broken, empty()]):
        terms = total_loss(NanoOutput(*leaves), targets, settings=settings)
        total = torch.stack(list(terms.values())).sum()
        assert torch.isfinite(total)
        for slope in torch.autograd.grad(total, leaves, allow_unused=True):
            assert slope is None or torch.isfinite(slope).all()


def test_distances_are_learnt_where_there_are_bins() -> None:
    bins = 12
    output = answer(bins=bins)
    assert "distances" not in total_loss(answer(), truth())
    uniform = output._replace(distances=torch.zeros_like(output.distances))
    settings = LossSettings(weights=LossWeightSettings(distances=1.0))
    terms = total_loss(uniform, truth(), settings=settings)
    # the entropy of thirteen equal bins, at the positives' weight over one more than their sum
    share = float(terms["distances"]) / math.log(bins + 1)
    assert 0.5 < share < 1
    anchors = anchor_points(HEIGHT, WIDTH)
    first, second = truth()
    peaked = torch.full_like(output.distances, -50.0)
    for index, box in ((0, first.boxes[0]), (1, second.boxes[0])):
        sides = torch.cat([anchors[:, :2] - box[:2], box[2:] - anchors[:, :2]], 1) / anchors[:, 2:]
        places = (sides - NEAREST_DISTANCE).clamp(0, bins - 0.01)
        below = places.long()[..., None]
        peaked[index].scatter_(2, below, (below + 1 - places[..., None]).clamp(min=1e-6).log())
        peaked[index].scatter_(2, below + 1, (places[..., None] - below).clamp(min=1e-6).log())
    alone = replace(first, boxes=first.boxes[:1], labels=first.labels[:1])
    right = total_loss(output._replace(distances=peaked), [alone, second], settings=settings)
    wrong = total_loss(output._replace(distances=-peaked), [alone, second], settings=settings)
    assert float(right["distances"]) < math.log(2)  # no more than the entropy of two bins
    assert float(wrong["distances"]) > 10
