"""Pascal VOC's average precision: Everingham et al., IJCV 2010, section 4.2 (11 points); all points since VOC 2010."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.messages import Detections
from stages.models.overlap import covered, overlaps

Float = NDArray[np.float64]


def eleven_points(recall: Float, precision: Float) -> float:
    """Mean of the highest precision at recall of at least 0, 0.1, ... 1.

    Args:
        recall, precision: [N], in order of falling score.
    """
    reached = [precision[recall >= level - 1e-9].max(initial=0.0) for level in np.linspace(0, 1, 11)]
    return float(np.mean(reached))


def all_points(recall: Float, precision: Float) -> float:
    """Area below precision made falling, over recall.

    Args:
        recall, precision: [N], in order of falling score.
    """
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * falling))


class VocPrecision:
    """Gathers pictures, then gives AP at IoU 0.5 both ways.

    A detection is right where the object of its class that it overlaps most is overlapped by more than half and was
    not found before; a second detection of an object is wrong, whatever else it overlaps. Ignored objects are VOC's
    "difficult" ones.

    Args:
        names: class names; a label is an index into them.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._judged: list[list[tuple[float, bool]]] = [[] for _ in self.names]
        self._objects = np.zeros(len(self.names), np.int64)

    def add(
        self,
        detections: Detections,
        boxes: NDArray[np.float32],  # [G, 4] xyxy
        labels: NDArray[np.int64],  # [G]
        ignored: NDArray[np.bool_],  # [G]
        *,
        open_labels: Collection[int] = (),
    ) -> None:
        """One picture; of `open_labels` the truth may lack some, and what matches none of it is not counted."""
        self._objects += np.bincount(labels[~ignored], minlength=len(self.names))
        taken = np.zeros(len(boxes), np.bool_)
        shared, inside = overlaps(detections.boxes, boxes), covered(detections.boxes, boxes) * ignored
        for row in np.argsort(-detections.scores, kind="stable").tolist():
            label, score = int(detections.labels[row]), float(detections.scores[row])
            same = labels == label
            hit = _judge(shared[row] * same, inside[row] * same, ignored, taken)
            if hit is not None and (hit or label not in open_labels):
                self._judged[label].append((score, hit))

    def by_class(self) -> dict[str, dict[str, float | None]]:
        """voc_ap11 and voc_ap of each class; None for one that the truth never shows."""
        return {name: self._of_class(label) for label, name in enumerate(self.names)}

    def _of_class(self, label: int) -> dict[str, float | None]:
        total = int(self._objects[label])
        if not total:
            return {"voc_ap11": None, "voc_ap": None}
        judged = sorted(self._judged[label], key=lambda one: -one[0])
        hits = np.cumsum([hit for _, hit in judged], dtype=np.float64)
        recall, precision = hits / total, hits / np.arange(1, len(hits) + 1)
        return {"voc_ap11": eleven_points(recall, precision), "voc_ap": all_points(recall, precision)}


def _judge(
    overlap: NDArray[np.float32],  # [G] IoU with objects of its class
    inside: NDArray[np.float32],  # [G] its share within ignored ones
    ignored: NDArray[np.bool_],
    taken: NDArray[np.bool_],
) -> bool | None:
    """Whether a detection is right, its object then taken; None where it counts for nothing."""
    best = int(overlap.argmax()) if len(overlap) else -1
    if best < 0 or overlap[best] <= 0.5 or ignored[best]:
        excused = bool((inside > 0.5).any())
        return None if excused or (best >= 0 and overlap[best] > 0.5) else False
    if taken[best]:
        return False
    taken[best] = True
    return True
