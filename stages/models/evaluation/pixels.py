"""Figures of single pixels, all from one matrix: what class the truth has where a class was found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stages.models.evaluation.panoptic_quality import VOID, mean

Int = NDArray[np.int64]


def pixel_confusion(found: Int, truth: Int, *, classes: int) -> Int:
    """[K, K + 1]: rows the truth's class, columns the found one, the last for pixels without any.

    Args:
        found, truth: label of each pixel [H, W]; -1 is void. What is void in the truth is left out.
        classes: K.
    """
    judged = truth != VOID
    columns = np.where(found == VOID, classes, found)
    counts = np.bincount(truth[judged] * (classes + 1) + columns[judged], minlength=classes * (classes + 1))
    return counts.reshape(classes, classes + 1).astype(np.int64)


class PixelFigures:
    """Gathers pictures, then gives IoU, Dice and accuracy.

    Args:
        names: class names; a label is an index into them.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.confusion: Int = np.zeros((len(self.names), len(self.names) + 1), np.int64)

    def add(self, found: Int, truth: Int) -> None:
        """One picture: label of each pixel [H, W]; -1 is void."""
        self.confusion = self.confusion + pixel_confusion(found, truth, classes=len(self.names))

    def by_class(self) -> dict[str, dict[str, float | None]]:
        """iou, dice, accuracy (the share of a class's pixels found as such) of each class; None for one never shown."""
        right, shown, found = _sums(self.confusion)
        rows = zip(self.names, right.tolist(), shown.tolist(), found.tolist(), strict=True)
        return {name: _of_class(r, s, f) for name, r, s, f in rows}

    def means(self) -> dict[str, float | None]:
        """miou, dice and class_accuracy over classes that the truth shows, and pixel_accuracy over all pixels."""
        of_class = self.by_class().values()
        pixels = int(self.confusion.sum())
        return {
            "miou": mean(values["iou"] for values in of_class),
            "dice": mean(values["dice"] for values in of_class),
            "class_accuracy": mean(values["accuracy"] for values in of_class),
            "pixel_accuracy": float(np.trace(self.confusion)) / pixels if pixels else None,
        }


def _sums(confusion: Int) -> tuple[Int, Int, Int]:
    """Pixels found rightly, shown and found, by class [K]."""
    classes = len(confusion)
    return np.diagonal(confusion).copy(), confusion.sum(1), confusion[:, :classes].sum(0)


def _of_class(right: int, shown: int, found: int) -> dict[str, float | None]:
    if not shown:
        return {"iou": None, "dice": None, "accuracy": None}
    return {"iou": right / (shown + found - right), "dice": 2 * right / (shown + found), "accuracy": right / shown}
