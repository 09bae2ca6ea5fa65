"""The truth of a picture as the figures take it: what counts, what is ignored, what may lack objects."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from stages.models.labelled.sample import FIRST_OBJECT, Sample
from stages.models.labelled.views import MIN_SIDE_PIXELS, MIN_VISIBILITY, is_ignored

REFERENCE_WIDTH: Final = 512
# Which objects it is neither right nor wrong to find.
Ignoring = Literal["world", "coco"]
IGNORED: Final[dict[Ignoring, str]] = {
    "world": f"objects visible by less than {MIN_VISIBILITY:.0%} or with a side under {MIN_SIDE_PIXELS:g} px at "
    f"{REFERENCE_WIDTH} px width",
    "coco": "crowds",
}


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What a picture shows.

    Attributes:
        boxes: [G, 4] xyxy.
        labels: [G].
        ignored: [G] objects that it is neither right nor wrong to find.
        areas: [G] pixels of each object, of its box where it has none.
        pixels: label and instance [H, W, 2] of each pixel, -1 void.
        open_labels: things of which there may be more than are labelled.
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    areas: NDArray[np.float64]
    pixels: NDArray[np.int64]
    open_labels: frozenset[int]


def truth_of(sample: Sample, *, ignoring: Ignoring, things: int, judged: Collection[int] | None = None) -> Truth:
    """The truth of a sample.

    Args:
        sample: the picture.
        ignoring: the rule; "world" ignores what cannot be told from its surroundings, "coco" crowds alone.
        things: how many classes are things.
        judged: labels that are told apart; pixels of others are void. None: all.
    """
    if ignoring == "world":
        ignored = is_ignored(sample, scale=REFERENCE_WIDTH / sample.image.shape[1])
    else:
        ignored = np.asarray(sample.visibility <= 0, np.bool_)
    return Truth(
        sample.boxes,
        sample.labels,
        ignored,
        _areas(sample),
        _pixels(sample, ignored, things=things, judged=judged),
        frozenset() if sample.known is None else frozenset(np.flatnonzero(~sample.known).tolist()),
    )


def _areas(sample: Sample) -> NDArray[np.float64]:
    counts = np.bincount(sample.regions.ravel(), minlength=256)[FIRST_OBJECT : FIRST_OBJECT + len(sample.labels)]
    boxes = (sample.boxes[:, 2:] - sample.boxes[:, :2]).prod(1)
    return np.where(counts > 0, counts, boxes).astype(np.float64)


def _pixels(
    sample: Sample, ignored: NDArray[np.bool_], *, things: int, judged: Collection[int] | None
) -> NDArray[np.int64]:
    labels, instances = np.full(256, -1, np.int64), np.zeros(256, np.int64)
    labels[1:FIRST_OBJECT] = things + np.arange(FIRST_OBJECT - 1)
    objects = slice(FIRST_OBJECT, FIRST_OBJECT + len(sample.labels))
    labels[objects] = np.where(ignored, -1, sample.labels)
    instances[objects] = np.where(ignored, 0, 1 + np.arange(len(sample.labels)))
    if judged is not None:
        labels[~np.isin(labels, list(judged))] = -1
    return np.stack([labels[sample.regions], instances[sample.regions]], -1)
