"""Figures of pixels and outlines: beside torchmetrics' and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from stages.models.evaluation.boundaries import BoundaryFigures, boundary_f1
from stages.models.evaluation.pixels import PixelFigures, pixel_confusion
from tests.stages.models.evaluation.made import disturbed, panoptic


def test_confusion_by_hand() -> None:
    truth = np.array([[0, 0, 1], [1, -1, 0]])
    found = np.array([[0, 1, 1], [-1, 0, 0]])
    assert pixel_confusion(found, truth, classes=2).tolist() == [[2, 1, 0], [0, 1, 1]]


def test_figures_by_hand() -> None:
    figures = PixelFigures(("road", "sky", "water"))
    figures.add(np.array([[0, 1, 1, -1, 0, 0]]), np.array([[0, 0, 1, 1, -1, 0]]))
    by_class = figures.by_class()
    assert by_class["road"] == {
        "iou": pytest.approx(2 / 3),
        "dice": pytest.approx(4 / 5),
        "accuracy": pytest.approx(2 / 3),
    }
    assert by_class["sky"] == {
        "iou": pytest.approx(1 / 3),
        "dice": pytest.approx(1 / 2),
        "accuracy": pytest.approx(1 / 2),
    }
    assert set(by_class["water"].values()) == {None}
    means = figures.means()
    assert means["miou"] == pytest.approx(1 / 2)
    assert means["pixel_accuracy"] == pytest.approx(3 / 5)
    assert means["class_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_nothing_shown_has_no_figures() -> None:
    figures = PixelFigures(("road",))
    figures.add(np.zeros((2, 2), np.int64), np.full((2, 2), -1))
    assert set(figures.means().values()) == {None}


def test_iou_and_accuracy_are_those_of_torchmetrics() -> None:
    classification = pytest.importorskip("torchmetrics.classification", reason="needs torchmetrics")
    import torch

    rng = np.random.default_rng(5)
    classes = 5
    ours = PixelFigures([str(label) for label in range(classes)])
    options = {"num_classes": classes + 1, "ignore_index": -1, "average": "none"}
    jaccard = classification.MulticlassJaccardIndex(**options)
    accuracy = classification.MulticlassAccuracy(**options)
    dice = classification.MulticlassF1Score(**options)
    for _ in range(3):
        truth = panoptic(rng, things=2, classes=classes)[..., 0]
        guess = disturbed(rng, np.stack([truth, truth * 0], -1))[..., 0]
        ours.add(guess, truth)
        for metric in (jaccard, accuracy, dice):
            metric.update(torch.from_numpy(np.where(guess < 0, classes, guess)), torch.from_numpy(truth))
    for key, metric in (("iou", jaccard), ("accuracy", accuracy), ("dice", dice)):
        expected = metric.compute().numpy()[:classes]
        assert [row[key] for row in ours.by_class().values()] == pytest.approx(expected, abs=1e-6)


def square(left: int, *, side: int = 20, size: int = 60) -> np.ndarray:
    truth = np.zeros((size, size), np.int64)
    truth[20 : 20 + side, left : left + side] = 1
    return truth


def test_an_outline_within_the_tolerance_is_met() -> None:
    truth = square(20)
    assert boundary_f1(truth, truth, label=1) == pytest.approx(1.0)
    diagonal = float(np.hypot(60, 60))
    assert boundary_f1(square(22), truth, label=1, tolerance=2 / diagonal) == pytest.approx(1.0)
    assert boundary_f1(square(23), truth, label=1, tolerance=1 / diagonal) < 0.7  # type: ignore[operator]


def test_outline_shares_by_hand() -> None:
    truth = square(20)
    # 8 columns to the right: of 76 outline pixels, only parts of the two horizontal edges lie within a pixel.
    value = boundary_f1(square(28), truth, label=1, tolerance=1 / float(np.hypot(60, 60)))
    near = 2 * 13 + 4  # 12 columns shared and one beyond, above and below; where the vertical edges cross them
    assert value == pytest.approx(near / 76, abs=0.06)


def test_classes_without_outline_or_truth() -> None:
    full = np.ones((8, 8), np.int64)
    assert boundary_f1(full, full, label=1) == 1.0  # fills the picture: nothing to draw
    assert boundary_f1(full * 0, full, label=1) == 0.0
    assert boundary_f1(full, full, label=0) is None
    half = full.copy()
    half[:, :4] = -1
    assert boundary_f1(full, half, label=1) == 1.0  # an edge towards void is none


def test_means_are_over_pictures_that_show_the_class() -> None:
    figures = BoundaryFigures(("road", "car", "sky"))
    figures.add(square(20), square(20))
    figures.add(square(20) * 0, square(20))
    figures.add(square(20) * 0, square(20) * 0)
    by_class = figures.by_class()
    assert by_class["car"] == pytest.approx(0.5)
    assert by_class["sky"] is None
