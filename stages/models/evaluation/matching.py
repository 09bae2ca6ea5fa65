"""Which detection found which object."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.messages import Detections
from stages.models.overlap import covered, overlaps

Float32 = NDArray[np.float32]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]


class Match(NamedTuple):
    """A detection that counts."""

    row: int  # in the detections
    label: int
    score: float
    hit: bool  # whether it found an object


def matches(
    detections: Detections,
    boxes: Float32,  # [G, 4]
    labels: Int,  # [G]
    ignored: Bool,  # [G]
    *,
    iou_threshold: float = 0.5,
    open_labels: Collection[int] = (),
) -> Iterator[Match]:
    """Detections that are right or wrong, best first; those on ignored objects are left out.

    Best score first, each takes the free object of its class that it overlaps most, as COCO does. One that finds none
    and lies by `iou_threshold` of its area in an ignored object of its class, or is of a class of which the truth may
    lack some, counts for nothing.
    """
    free, shared, inside = ~ignored, overlaps(detections.boxes, boxes), covered(detections.boxes, boxes) * ignored
    for row in np.argsort(-detections.scores, kind="stable").tolist():
        label = int(detections.labels[row])
        overlap = shared[row] * (labels == label) * free
        best = int(overlap.argmax()) if len(overlap) else -1
        hit = best >= 0 and bool(overlap[best] >= iou_threshold)
        if hit:
            free[best] = False
        elif label in open_labels or (inside[row] * (labels == label) >= iou_threshold).any():
            continue
        yield Match(row, label, float(detections.scores[row]), hit)


def box_confusion(
    detections: Detections,
    boxes: Float32,  # [G, 4]
    labels: Int,  # [G]
    ignored: Bool,  # [G]
    *,
    classes: int,
    iou_threshold: float = 0.5,
    open_labels: Collection[int] = (),
) -> Int:
    """[K + 1, K + 1]: rows the object's class, columns the detection's, the last of each for "nothing there".

    Best score first, each detection takes the free object of any class that it overlaps most, one of its own class
    before others. What it counts for nothing in `matches` is not counted here either.
    """
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    free, shared, inside = ~ignored, overlaps(detections.boxes, boxes), covered(detections.boxes, boxes) * ignored
    for row in np.argsort(-detections.scores, kind="stable").tolist():
        label = int(detections.labels[row])
        overlap = shared[row] * free
        preferred = np.where(overlap >= iou_threshold, overlap + (labels == label), 0)
        best = int(preferred.argmax()) if len(preferred) else -1
        if best >= 0 and preferred[best] > 0:
            free[best] = False
            counts[labels[best], label] += 1
        elif label not in open_labels and not (inside[row] >= iou_threshold).any():
            counts[classes, label] += 1
    counts[:classes, classes] += np.bincount(labels[free], minlength=classes)[:classes]
    return counts
