"""From which score on a teacher's box is a label, class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.models.adaptation.found import Found

CONFIRMED_SHARE = 0.9  # of the boxes above a threshold, that the mirror image must confirm
FEWEST = 20  # boxes of a class that tell something about it
USUAL = 0.5
LOWEST, HIGHEST = 0.3, 0.8


def thresholds_for(
    found: Sequence[Found], names: Sequence[str], *, given: Mapping[str, float] | None = None
) -> NDArray[np.float32]:
    """[things]: the score from which a box of each class is a label.

    As `given`; else the lowest from which nine boxes in ten are found in the mirror image too, within `LOWEST` and
    `HIGHEST`; `USUAL` for a class of which fewer than `FEWEST` boxes were found.

    Args:
        found: of every frame, from `merged`.
        names: of the classes, by label.
        given: thresholds by class name.
    """
    scores = np.concatenate([one.scores for one in found]) if found else np.zeros(0, np.float32)
    labels = np.concatenate([one.labels for one in found]) if found else np.zeros(0, np.int64)
    agreed = np.concatenate([one.agreed for one in found]) if found else np.zeros(0, np.bool_)
    given = given or {}
    return np.array(
        [
            given[name] if name in given else confirmed_from(scores[labels == label], agreed[labels == label])
            for label, name in enumerate(names)
        ],
        np.float32,
    )


def confirmed_from(scores: NDArray[np.float32], agreed: NDArray[np.bool_]) -> float:
    """The lowest score from which `CONFIRMED_SHARE` of the boxes [N] are agreed [N], within bounds."""
    if len(scores) < FEWEST:
        return USUAL
    order = np.argsort(-scores, kind="stable")
    share = np.cumsum(agreed[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(share >= CONFIRMED_SHARE)
    lowest = float(scores[order][enough[-1]]) if len(enough) else HIGHEST
    return min(max(round(lowest, 3), LOWEST), HIGHEST)
