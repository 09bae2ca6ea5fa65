"""Make a score mean the same for every class: at one threshold each class is found as well as it can be.

A network trained on soft targets scores rare and hard classes lower than easy ones, while a run has one threshold for
all. An offset a class, added to its logits, moves the threshold of its best F1 to a common score. Within a class the
order of the boxes stays as it was; which class a box is of may change, since a cell tells its best alone. A class that
was found too rarely to tell is therefore moved as far as the others are on average: left where it was, it would lose
every comparison.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.models.evaluation.matching import matches
from stages.models.evaluation.subject import Subject
from stages.models.evaluation.truth import Ignoring, truth_of
from stages.models.labelled.pictures import Pictures
from stages.models.labelled.taxonomy import Taxonomy

# A run paints masks of boxes from 0.4 and starts tracks from 0.5; the best F1 of a class belongs between the two.
COMMON_SCORE = 0.45
# Fewer hits than this tell nothing about a class.
_FEWEST_HITS = 20
_FURTHEST_OFFSET = 2.0


def calibrate_on(model: Path, pictures: Pictures, taxonomy: Taxonomy, *, ignoring: Ignoring) -> list[float | None]:
    """Offsets of the class logits [things], from pictures that were not trained on; None of what is too rare in them.

    Args:
        model: an ONNX file with its card beside it.
        pictures: with truth in the taxonomy's labels.
        taxonomy: whose things are the model's, in its order.
        ignoring: which objects it is neither right nor wrong to find.

    Raises:
        ModelError: when the model cannot be loaded.
        DataError: when a picture cannot be read.
    """
    subject, things = Subject(str(model), score_floor=None), len(taxonomy.things)
    scores: list[list[float]] = [[] for _ in range(things)]
    hits: list[list[bool]] = [[] for _ in range(things)]
    totals = np.zeros(things, np.int64)
    for index in range(len(pictures)):
        sample = pictures[index]
        truth = truth_of(sample, ignoring=ignoring, things=things)
        found = subject(sample.image, taxonomy, seq=index).detections
        totals += np.bincount(truth.labels[~truth.ignored], minlength=things)
        for match in matches(found, truth.boxes, truth.labels, truth.ignored, open_labels=truth.open_labels):
            scores[match.label].append(match.score)
            hits[match.label].append(match.hit)
    return [offset(*columns) for columns in zip(scores, hits, totals.tolist(), strict=True)]


def completed(offsets: Sequence[float | None]) -> list[float]:
    """The offsets, those that are not known the mean of those that are; 0 where none is."""
    known = [one for one in offsets if one is not None]
    usual = round(sum(known) / len(known), 3) if known else 0.0
    return [usual if one is None else one for one in offsets]


def offset(scores: list[float], hits: list[bool], total: int) -> float | None:
    """What to add to the logits so that the threshold of the best F1 becomes `COMMON_SCORE`; None: too few to know."""
    if sum(hits) < _FEWEST_HITS:
        return None
    threshold = best_threshold(np.array(scores), np.array(hits), total)
    shift = _logit(COMMON_SCORE) - _logit(threshold)
    return round(max(-_FURTHEST_OFFSET, min(_FURTHEST_OFFSET, shift)), 3)


def best_threshold(scores: NDArray[np.float64], hits: NDArray[np.bool_], total: int) -> float:
    """The score from which taking all boxes gives the best F1 against `total` objects."""
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(hits[order])
    f1 = 2 * found / (np.arange(1, len(order) + 1) + total)
    return float(scores[order][f1.argmax()])


def _logit(probability: float) -> float:
    bounded = min(max(probability, 1e-4), 1 - 1e-4)
    return math.log(bounded / (1 - bounded))
