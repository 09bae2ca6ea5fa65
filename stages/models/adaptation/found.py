"""Boxes of one frame on their way to being labels: as one look gave them, and with what two looks agree on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.models.overlap import overlaps


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What was found in a frame, by one teacher in one view or by several.

    Attributes:
        boxes: [N, 4] float32 xyxy, pixels of the frame.
        scores: [N] float32, 0..1.
        labels: [N] int64, of the network that will learn.
        agreed: [N] bool, whether a second look found it too.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    agreed: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        boxes: Sequence[Sequence[float]] | NDArray[np.float32],
        scores: Sequence[float] | NDArray[np.float32],
        labels: Sequence[int] | NDArray[np.int64],
        agreed: Sequence[bool] | NDArray[np.bool_] | None = None,
    ) -> Found:
        """From anything that numpy takes; `agreed` is false where it is not given."""
        count = len(scores)
        return cls(
            np.asarray(boxes, np.float32).reshape(count, 4),
            np.asarray(scores, np.float32),
            np.asarray(labels, np.int64),
            np.zeros(count, np.bool_) if agreed is None else np.asarray(agreed, np.bool_),
        )

    @classmethod
    def empty(cls) -> Found:
        """Nothing."""
        return cls.of([], [], [])

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Found:
        return Found(self.boxes[rows], self.scores[rows], self.labels[rows], self.agreed[rows])


def mirrored(found: Found, *, width: int) -> Found:
    """The same boxes in the mirror image of a frame `width` pixels wide."""
    boxes = found.boxes.copy()
    boxes[:, [0, 2]] = width - found.boxes[:, [2, 0]]
    return Found(boxes, found.scores, found.labels, found.agreed)


def pairs(first: Found, second: Found, *, iou: float) -> NDArray[np.int64]:
    """[N]: the row of `second` that shows the same object as each row of `first`, -1 where none does.

    Boxes of one class pair by falling overlap, each once, from `iou` on.
    """
    partner = np.full(len(first), -1, np.int64)
    shared = overlaps(first.boxes, second.boxes) * (first.labels[:, None] == second.labels[None])
    taken = np.zeros(len(second), np.bool_)
    rows, columns = np.nonzero(shared >= iou)
    for index in np.argsort(-shared[rows, columns], kind="stable"):
        row, column = int(rows[index]), int(columns[index])
        if partner[row] < 0 and not taken[column]:
            partner[row], taken[column] = column, True
    return partner
