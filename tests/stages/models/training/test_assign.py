"""Assignment on a grid small enough to work by hand."""

from __future__ import annotations

import torch

from stages.models.training.assign import assign, candidates
from stages.models.training.losses import best_of_each

# Three cells in a row at stride 8, centres at x = 4, 12, 20.
ANCHORS = torch.tensor([[4.0, 4, 8], [12, 4, 8], [20, 4, 8]])


def test_candidates_lie_inside_their_box() -> None:
    boxes = torch.tensor([[0.0, 0, 14, 8], [16, 0, 24, 8]])
    assert candidates(ANCHORS, boxes, radius=2.0).tolist() == [[True, True, False], [False, False, True]]


def test_a_tiny_box_between_cells_still_has_candidates() -> None:
    tiny = torch.tensor([[7.5, 3.5, 8.5, 4.5]])
    assert not candidates(ANCHORS, tiny, radius=0.5).any()
    assert candidates(ANCHORS, tiny, radius=8.0).tolist() == [[True, True, False]]


def test_the_best_aligned_anchors_win_and_the_best_target_is_its_overlap() -> None:
    boxes, labels = torch.tensor([[0.0, 0, 24, 8]]), torch.tensor([1])
    predicted = torch.tensor([[0.0, 0, 12, 8], [0, 0, 24, 8], [12, 0, 24, 8]])  # overlaps 0.5, 1, 0.5
    scores = torch.tensor([[0.9, 0.04], [0.0, 0.25], [0.9, 0.01]])
    found = assign(scores, predicted, ANCHORS, boxes, labels, per_object=2, score_power=0.5, iou_power=1.0)
    assert found.anchors.tolist() == [0, 1]  # worth 0.2 * 0.5, 0.5 * 1, 0.1 * 0.5
    assert found.objects.tolist() == [0, 0]
    assert torch.allclose(found.weights, torch.tensor([0.2, 1.0]), atol=1e-4)
    assert torch.allclose(found.targets, torch.tensor([0.2, 1.0]), atol=1e-4)


def test_a_contested_anchor_goes_to_the_object_it_overlaps_most() -> None:
    boxes, labels = torch.tensor([[8.0, 0, 16, 8], [6.0, 0, 26, 8]]), torch.tensor([0, 0])
    predicted = torch.tensor([[0.0, 0, 8, 8], [8, 0, 16, 8], [6, 0, 26, 8]])
    found = assign(torch.full((3, 1), 0.5), predicted, ANCHORS, boxes, labels, per_object=3, radius=1.0)
    assert dict(zip(found.anchors.tolist(), found.objects.tolist(), strict=True)) == {1: 0, 2: 1}


def test_a_picture_without_objects_has_no_positives() -> None:
    none = torch.zeros(0, 4)
    found = assign(torch.rand(3, 2), torch.rand(3, 4), ANCHORS, none, torch.zeros(0, dtype=torch.int64))
    assert len(found.anchors) == len(found.objects) == len(found.targets) == len(found.weights) == 0
    assert len(best_of_each(found, 2)) == 0


def test_best_of_each_takes_the_highest_targets_of_every_object() -> None:
    boxes, labels = torch.tensor([[0.0, 0, 24, 8]]), torch.tensor([0])
    predicted = torch.tensor([[0.0, 0, 12, 8], [0, 0, 24, 8], [4, 0, 24, 8]])
    found = assign(torch.full((3, 1), 0.5), predicted, ANCHORS, boxes, labels)
    assert found.anchors[best_of_each(found, 2)].tolist() == [1, 2]
