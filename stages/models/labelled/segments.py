"""From a map of segments to a `Sample`: stuff by class, things by object, whatever set they came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stages.models.labelled.sample import FIRST_OBJECT, MAX_OBJECTS, Sample
from stages.models.labelled.taxonomy import Taxonomy

# Of more objects than can be numbered, the smallest are gathered by where they are, into squares of the picture.
_SQUARES = 4
_OWN = MAX_OBJECTS - _SQUARES * _SQUARES


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """What the values of a segment map mean. S = segments; value 1 + s in the map, 0 is void.

    Attributes:
        labels: [S] int64 label of the taxonomy, of a thing or of stuff; -1: void.
        boxes: [S, 4] float32 xyxy pixels; not-a-number: the box around its pixels.
        visibility: [S] float32 as in `Sample`; 0: a crowd, things that are not told apart.
    """

    labels: NDArray[np.int64]
    boxes: NDArray[np.float32]
    visibility: NDArray[np.float32]

    @staticmethod
    def of(labels: list[int], crowds: list[bool], boxes: NDArray[np.float32] | None = None) -> Segments:
        """Of plain lists; boxes are those around the pixels where none are given."""
        around = np.full((len(labels), 4), np.nan, np.float32) if boxes is None else boxes
        return Segments(np.array(labels, np.int64), around, 1 - np.array(crowds, np.float32))


def sample_of_segments(
    image: NDArray[np.uint8],
    segment_map: NDArray[np.int32],
    segments: Segments,
    taxonomy: Taxonomy,
    known: NDArray[np.bool_] | None = None,
) -> Sample:
    """The sample that a segment map tells.

    Segments of stuff become pixels, those of things objects; an ignored thing is an object of visibility 0, whose
    pixels keep their class. A thing with neither box nor pixels is left out. Of more than `MAX_OBJECTS` the largest
    are kept, and the rest become ignored objects, one for each sixteenth of the picture they lie in.
    """
    labels = segments.labels
    is_thing = (labels >= 0) & (labels < len(taxonomy.things))
    boxes = _with_measured(segments.boxes, segment_map, is_thing)
    things = np.flatnonzero(is_thing & np.isfinite(boxes).all(1))
    stuff = labels >= len(taxonomy.things)
    table = np.zeros(len(labels) + 1, np.uint8)
    table[1:][stuff] = 1 + labels[stuff] - len(taxonomy.things)
    objects = Objects(boxes[things], labels[things], segments.visibility[things], np.arange(len(things)))
    if len(things) > MAX_OBJECTS:
        objects = _gathered(objects, height=segment_map.shape[0], width=segment_map.shape[1])
    numbered = objects.numbers >= 0
    table[1 + things[numbered]] = FIRST_OBJECT + objects.numbers[numbered]
    return Sample(image, table[segment_map], objects.boxes, objects.labels, objects.visibility, known)


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """Boxes, labels and visibility of the objects kept, and the number of each one found, -1: its pixels are void."""

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    visibility: NDArray[np.float32]
    numbers: NDArray[np.int64]


def _gathered(objects: Objects, *, height: int, width: int) -> Objects:
    boxes, labels = objects.boxes, objects.labels
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    by_size = np.argsort(-areas, kind="stable")
    own, rest = np.sort(by_size[:_OWN]), by_size[_OWN:]
    numbers = np.full(len(labels), -1, np.int64)
    numbers[own] = np.arange(_OWN)
    middles = (boxes[rest, :2] + boxes[rest, 2:]) / 2 * _SQUARES / np.array([width, height])
    column, row = middles.astype(np.int64).clip(0, _SQUARES - 1).T
    group_boxes: list[NDArray[np.float32]] = []
    group_labels: list[int] = []
    for square in np.unique(row * _SQUARES + column):
        members = rest[row * _SQUARES + column == square]
        label = int(np.bincount(labels[members]).argmax())
        numbers[members[labels[members] == label]] = _OWN + len(group_labels)
        group_boxes.append(np.concatenate([boxes[members, :2].min(0), boxes[members, 2:].max(0)]))
        group_labels.append(label)
    return Objects(
        np.concatenate([boxes[own], np.stack(group_boxes)]),
        np.concatenate([labels[own], np.array(group_labels, np.int64)]),
        np.concatenate([objects.visibility[own], np.zeros(len(group_labels), np.float32)]),
        numbers,
    )


def _with_measured(
    boxes: NDArray[np.float32], segment_map: NDArray[np.int32], wanted: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Boxes that are wanted and not given, from the pixels; of a segment without pixels they stay not-a-number."""
    missing = np.isnan(boxes).any(axis=1) & wanted
    if not missing.any():
        return boxes
    boxes = boxes.copy()
    for index, found in enumerate(ndimage.find_objects(segment_map, max_label=len(boxes))):
        if found is not None and missing[index]:
            rows, columns = found
            boxes[index] = (columns.start, rows.start, columns.stop, rows.stop)
    return boxes


def known_things(taxonomy: Taxonomy, named: set[str], known: list[str] | None) -> NDArray[np.bool_] | None:
    """`Sample.known` for a set whose labels name these classes; None: all things.

    Args:
        taxonomy: the classes.
        named: every class that the labels could name.
        known: what the recipe says instead.
    """
    labels = {taxonomy.label(name) for name in named} if known is None else {taxonomy.label(name) for name in known}
    flags = np.array([label in labels for label in range(len(taxonomy.things))], np.bool_)
    return None if flags.all() else flags
