"""Panoptic quality: Kirillov et al., "Panoptic Segmentation", CVPR 2019 (arXiv:1801.00868), section 4."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]
VOID = -1
_MOST_INSTANCES = 1 << 40


class Matched(NamedTuple):
    """What one picture adds: sums by class [K]."""

    iou: NDArray[np.float64]
    true: Int
    false: Int
    missed: Int

    def plus(self, other: Matched) -> Matched:
        """The sums of both."""
        return Matched(
            self.iou + other.iou, self.true + other.true, self.false + other.false, self.missed + other.missed
        )

    def quality(self) -> NDArray[np.float64]:
        """PQ, SQ, RQ [K, 3] of each class: RQ = TP / (TP + FP/2 + FN/2), SQ the mean IoU of TP, PQ their product."""
        weight = self.true + (self.false + self.missed) / 2
        rq = self.true / np.maximum(weight, 0.5)
        sq = self.iou / np.maximum(self.true, 1)
        return np.stack([sq * rq, sq, rq], 1)


def match_segments(found: Int, truth: Int, *, classes: int, open_labels: Collection[int] = ()) -> Matched:
    """Hold a panoptic map against the truth.

    A segment is right where it shares its class and more than half of the union with one of the truth; pixels that are
    void in the truth belong to no union, and a segment that lies in them by more than half counts for nothing. What is
    void in the found map is a miss, as the paper has it (and `torchmetrics` has not).

    Args:
        found, truth: label and instance of each pixel [H, W, 2]; label -1 is void.
        classes: how many.
        open_labels: classes of which the truth may lack some; what is found of them and matches nothing is not counted.
    """
    found_codes, found_at = numbered(found)
    truth_codes, truth_at = numbered(truth)
    shared = np.bincount(truth_at * len(found_codes) + found_at, minlength=len(truth_codes) * len(found_codes))
    shared = shared.reshape(len(truth_codes), len(found_codes))
    return match_shared(
        shared, labels_of(truth_codes), labels_of(found_codes), classes=classes, open_labels=open_labels
    )


def match_shared(
    shared: Int, truth_labels: Int, found_labels: Int, *, classes: int, open_labels: Collection[int] = ()
) -> Matched:
    """`match_segments` of pixel counts.

    Args:
        shared: [T, F] pixels that segments of the truth and found ones share; each has its void as one of them.
        truth_labels: [T], -1 is void.
        found_labels: [F].
        classes, open_labels: as there.
    """
    truth_areas, found_areas = shared.sum(1), shared.sum(0)
    in_void = shared[truth_labels == VOID].sum(0)
    union = truth_areas[:, None] + (found_areas - in_void)[None, :] - shared
    iou = shared / np.maximum(union, 1)
    same = (truth_labels[:, None] == found_labels[None, :]) & (truth_labels[:, None] != VOID)
    hits = same & (iou > 0.5)  # at most one in a row and in a column
    missed = truth_labels[~hits.any(1) & (truth_labels != VOID)]
    excused = (found_labels == VOID) | (2 * in_void > found_areas) | np.isin(found_labels, list(open_labels))
    false = found_labels[~hits.any(0) & ~excused]
    rows, columns = np.nonzero(hits)
    return Matched(
        np.bincount(truth_labels[rows], weights=iou[rows, columns], minlength=classes).astype(np.float64),
        _counted(truth_labels[rows], classes),
        _counted(false, classes),
        _counted(missed, classes),
    )


def numbered(labelled: Int) -> tuple[Int, Int]:
    """Codes of the segments [S], and the row of each pixel's [H * W]."""
    codes = (labelled[..., 0] + 1) * _MOST_INSTANCES + np.where(labelled[..., 0] == VOID, 0, labelled[..., 1])
    unique, at = np.unique(codes.ravel(), return_inverse=True)
    return unique, at.reshape(-1)


def labels_of(codes: Int) -> Int:
    """The label of each code; -1 is void."""
    return codes // _MOST_INSTANCES - 1


def _counted(labels: Int, classes: int) -> Int:
    return np.bincount(labels, minlength=classes).astype(np.int64)


class PanopticQuality:
    """Gathers pictures, then gives PQ, SQ and RQ.

    Args:
        names: class names; a label is an index into them, things first.
        things: how many of them are things.
    """

    def __init__(self, names: Sequence[str], *, things: int) -> None:
        self.names, self.things = tuple(names), things
        none = np.zeros(len(self.names), np.int64)
        self._sum = Matched(none.astype(np.float64), none, none, none)

    def add(self, found: Int, truth: Int, *, open_labels: Collection[int] = ()) -> None:
        """One picture: label and instance of each pixel [H, W, 2]; label -1 is void."""
        self.add_matched(match_segments(found, truth, classes=len(self.names), open_labels=open_labels))

    def add_matched(self, matched: Matched) -> None:
        """What `match_segments` gave for something."""
        self._sum = self._sum.plus(matched)

    def by_class(self) -> dict[str, dict[str, float | None]]:
        """pq, sq, rq of each class; None for one that the truth never shows."""
        shown = self._sum.true + self._sum.missed > 0
        rows = zip(self.names, self._sum.quality(), shown, strict=True)
        return {
            name: {key: float(v) if seen else None for key, v in zip(("pq", "sq", "rq"), values, strict=True)}
            for name, values, seen in rows
        }

    def quality(self, names: Iterable[str] | None = None) -> dict[str, dict[str, float | None]]:
        """Means over all classes that the truth shows, over things and over stuff; of `names` alone where given."""
        wanted = set(self.names if names is None else names)
        of_class = self.by_class()
        groups = {"all": self.names, "things": self.names[: self.things], "stuff": self.names[self.things :]}
        return {
            group: {key: mean(of_class[name][key] for name in members if name in wanted) for key in ("pq", "sq", "rq")}
            for group, members in groups.items()
        }


def mean(values: Iterable[float | None]) -> float | None:
    """Of those that are known; None where none is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
