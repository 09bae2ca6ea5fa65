"""From a map of classes, and perhaps one of objects, to segments."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stages.models.labelled.segments import Segments

_MOST_PIECES = 4096  # of a thing that is not told apart; more are speckle


def class_map_segments(
    classes: NDArray[np.int64], instances: NDArray[np.int64] | None, *, thing_count: int
) -> tuple[NDArray[np.int32], Segments]:
    """The segment map, and what its values mean.

    Pixels of a thing that no object's number tells apart are ignored objects, one a connected piece: a network is
    neither praised nor blamed for what it finds there, and the pixels keep their class.

    Args:
        classes: [H, W] labels, things first; -1: void.
        instances: [H, W] number of the object, 0: none; None: no objects are told apart. The pixels of a number are
            of one class, or void.
        thing_count: how many labels are things.
    """
    present = (np.flatnonzero(np.bincount(classes.ravel() + 1)) - 1).tolist()
    stuff = [label for label in present if label >= thing_count]
    segment_of = np.zeros(max([0, *present]) + 2, np.int32)  # by label + 1
    segment_of[np.array(stuff, np.int64) + 1] = np.arange(1, len(stuff) + 1)
    segment_map = segment_of[classes + 1]
    labels, crowds = list(stuff), [False] * len(stuff)
    for label, place, mask in _objects(classes, instances, thing_count):
        labels.append(label)
        crowds.append(False)
        segment_map[place][mask] = len(labels)
    for label in present:
        if 0 <= label < thing_count:
            loose = (classes == label) & (segment_map == 0)
            if not loose.any():
                continue
            count, pieces = cv2.connectedComponents(loose.astype(np.uint8), connectivity=8)
            taken = min(count - 1, _MOST_PIECES)
            inside = (pieces > 0) & (pieces <= taken)
            segment_map[inside] = pieces[inside] + len(labels)
            labels += [label] * taken
            crowds += [True] * taken
    return segment_map, Segments.of(labels, crowds)


def _objects(
    classes: NDArray[np.int64], instances: NDArray[np.int64] | None, thing_count: int
) -> Iterator[tuple[int, tuple[slice, slice], NDArray[np.bool_]]]:
    """(label, place in the map, pixels there) of every numbered thing."""
    if instances is None:
        return
    for number, place in enumerate(ndimage.find_objects(instances), 1):
        if place is None:
            continue
        mask = (instances[place] == number) & (classes[place] >= 0)
        if mask.any() and (label := int(classes[place][mask][0])) < thing_count:
            yield label, place, mask
