"""Segmentation and tracking quality: Weber et al., "STEP: Segmenting and Tracking Every Pixel", NeurIPS 2021.

STQ is the geometric mean of AQ, how well pixels keep the identity they have in the truth, whatever class they were
given (arXiv:2102.11859, equations 3 to 6), and SQ, the mean IoU of classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.models.evaluation.panoptic_quality import VOID, mean
from stages.models.evaluation.pixels import PixelFigures

Int = NDArray[np.int64]
Tube = tuple[str, int]  # a clip, and an identity in it


class StepFigures(NamedTuple):
    """Each None where the truth shows nothing that it could be of."""

    stq: float | None
    aq: float | None
    sq: float | None


def association_quality(
    truth: Mapping[Tube, int], found: Mapping[Tube, int], shared: Mapping[tuple[Tube, Tube], int]
) -> float | None:
    """AQ of pixel counts; None without an object in the truth.

    For each true tube, the tubes found in it count by their pixels in it (TPA), weighted by the IoU of the two tubes,
    TPA / (TPA + FPA + FNA), over the pixels of the true one; the mean over true tubes.

    Args:
        truth: pixels of each true tube, over all its frames.
        found: pixels of each found tube, outside void.
        shared: pixels that a true and a found tube share.
    """
    sums = dict.fromkeys(truth, 0.0)
    for (true, guess), pixels in shared.items():
        union = truth[true] + found[guess] - pixels
        sums[true] += pixels * pixels / union
    return mean(total / truth[tube] for tube, total in sums.items())


class StepQuality:
    """Gathers frames, then gives STQ.

    Args:
        names: class names; a label is an index into them.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._pixels = PixelFigures(names)
        self._truth: Counter[Tube] = Counter()
        self._found: Counter[Tube] = Counter()
        self._shared: Counter[tuple[Tube, Tube]] = Counter()

    def add(self, clip: str, found: Int, truth: Int) -> None:
        """A frame of a clip: label and identity of each pixel [H, W, 2].

        Label -1 is void. Identities from 1 count; 0, of stuff, and those below it, of things that nothing follows,
        are none.
        """
        self._pixels.add(found[..., 0], truth[..., 0])
        judged = truth[..., 0] != VOID
        true, guess = (np.maximum(one[judged][:, 1], 0) for one in (truth, found))
        span = int(guess.max(initial=0)) + 1
        pairs, counts = np.unique(true * span + guess, return_counts=True)
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
            one, other = divmod(pair, span)
            if one:
                self._truth[clip, one] += count
            if other:
                self._found[clip, other] += count
            if one and other:
                self._shared[(clip, one), (clip, other)] += count

    def figures(self, names: Sequence[str] | None = None) -> StepFigures:
        """STQ, AQ, SQ; SQ over `names` alone where given."""
        aq = association_quality(self._truth, self._found, self._shared)
        of_class = self._pixels.by_class()
        sq = mean(of_class[name]["iou"] for name in (of_class if names is None else names))
        stq = None if aq is None or sq is None else float(np.sqrt(aq * sq))
        return StepFigures(stq, aq, sq)
