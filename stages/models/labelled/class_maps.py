"""From a map of classes, and perhaps one of objects, to segments."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.models.labelled.segments import Segments

_MOST_PIECES = 4096  # of things that are not told apart; more are speckle


def class_map_segments(
    classes: NDArray[np.int64], instances: NDArray[np.int64] | None, *, thing_count: int
) -> tuple[NDArray[np.int32], Segments]:
    """The segment map, and what its values mean.

    Pixels of a thing that no object's number tells apart are ignored objects, one a connected piece: a network is
    neither praised nor blamed for what it finds there, and the pixels keep their class.

    Args:
        classes: [H, W] labels, things first; -1: void.
        instances: [H, W] number of the object, 0: none; None: no objects are told apart.
        thing_count: how many labels are things.
    """
    segment_map = np.zeros(classes.shape, np.int32)
    labels: list[int] = []
    crowds: list[bool] = []
    for label in np.unique(classes[classes >= thing_count]).tolist():
        labels.append(label)
        crowds.append(False)
        segment_map[classes == label] = len(labels)
    for label in np.unique(classes[(classes >= 0) & (classes < thing_count)]).tolist():
        mine = classes == label
        loose = mine if instances is None else mine & (instances == 0)
        for number in [] if instances is None else np.unique(instances[mine & (instances > 0)]).tolist():
            labels.append(label)
            crowds.append(False)
            segment_map[mine & (instances == number)] = len(labels)
        count, pieces = cv2.connectedComponents(loose.astype(np.uint8), connectivity=8)
        taken = min(count - 1, _MOST_PIECES)
        inside = (pieces > 0) & (pieces <= taken)
        segment_map[inside] = pieces[inside] + len(labels)
        labels += [label] * taken
        crowds += [True] * taken
    return segment_map, Segments.of(labels, crowds)
