"""How well outlines are met: Csurka et al., "What is a good evaluation measure for semantic segmentation?", 2013."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.models.evaluation.panoptic_quality import VOID

# Of the picture's diagonal: what that paper takes; 5.5 pixels of 640x360.
TOLERANCE = 0.0075
_CROSS = np.ones((3, 3), np.uint8)


def boundary_f1(
    found: NDArray[np.int64], truth: NDArray[np.int64], *, label: int, tolerance: float = TOLERANCE
) -> float | None:
    """F1 of a class's outline in one picture; None where the truth does not show the class.

    Precision is the share of the found outline that lies within the tolerance of the true one, recall the reverse. The
    picture's edge and edges towards void are no outline.

    Args:
        found, truth: label of each pixel [H, W]; -1 is void.
        label: which class.
        tolerance: as a share of the picture's diagonal.
    """
    void = truth == VOID
    inside, wanted = (found == label) & ~void, truth == label
    if not wanted.any():
        return None
    ours, theirs = _outline(inside, void), _outline(wanted, void)
    if not ours.any() and not theirs.any():
        return 1.0 if inside.any() else 0.0
    if not ours.any() or not theirs.any():
        return 0.0
    reach = max(1.0, tolerance * float(np.hypot(*truth.shape)))
    precision, recall = _near(ours, theirs, reach), _near(theirs, ours, reach)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _outline(mask: NDArray[np.bool_], void: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of the mask that touch one outside it, void and what lies beyond the picture counted as inside."""
    kept = cv2.erode((mask | void).astype(np.uint8), _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    return np.asarray(mask & (np.asarray(kept) == 0), np.bool_)


def _near(outline: NDArray[np.bool_], other: NDArray[np.bool_], reach: float) -> float:
    """The share of an outline at most `reach` pixels from the other."""
    distance = cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float((np.asarray(distance)[outline] <= reach).mean())


class BoundaryFigures:
    """Gathers pictures, then gives each class's mean over those that show it.

    Args:
        names: class names; a label is an index into them.
        tolerance: as a share of the picture's diagonal.
    """

    def __init__(self, names: Sequence[str], *, tolerance: float = TOLERANCE) -> None:
        self.names, self.tolerance = tuple(names), tolerance
        self._seen: list[list[float]] = [[] for _ in self.names]

    def add(self, found: NDArray[np.int64], truth: NDArray[np.int64]) -> None:
        """One picture: label of each pixel [H, W]; -1 is void."""
        for label in np.unique(truth[truth != VOID]).tolist():
            value = boundary_f1(found, truth, label=label, tolerance=self.tolerance)
            if value is not None:
                self._seen[label].append(value)

    def by_class(self) -> dict[str, float | None]:
        """Mean F1 of each class; None for one that the truth never shows."""
        return {n: float(np.mean(v)) if v else None for n, v in zip(self.names, self._seen, strict=True)}
