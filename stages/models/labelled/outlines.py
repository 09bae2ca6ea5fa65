"""Objects told one by one, with masks that may overlap or be missing, painted into one map."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.models.labelled.boxes import Box
from stages.models.labelled.sample import Sample
from stages.models.labelled.segments import Segments, sample_of_segments
from stages.models.labelled.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True, eq=False)
class Outlined:
    """One object: the taxonomy's label, its box, its pixels [H, W] or None, and whether it is a crowd."""

    label: int
    box: Box
    mask: NDArray[np.bool_] | None
    crowd: bool = False


def sample_of_outlines(
    image: NDArray[np.uint8], objects: Iterable[Outlined], taxonomy: Taxonomy, known: NDArray[np.bool_] | None
) -> Sample:
    """Paint and number them. What no object covers is void.

    Where masks overlap the smaller has the pixel, as it is mostly in front, and a crowd only what nobody else has.
    One mask is held at a time: a hundred of a large picture would not fit into memory.
    """
    painted = np.zeros(image.shape[:2], np.int32)
    smallest = np.full(painted.shape, np.inf, np.float32)
    boxes, labels, crowds = [], [], []
    for number, one in enumerate(objects, 1):
        boxes.append(one.box)
        labels.append(one.label)
        crowds.append(one.crowd)
        if one.mask is not None:
            area = np.count_nonzero(one.mask) + one.crowd * painted.size
            place = _place(one.mask)  # most objects are small, and the rest of a large picture is slow to go through
            taken = one.mask[place] & (smallest[place] > area)
            painted[place][taken] = number
            smallest[place][taken] = area
    segments = Segments.of(labels, crowds, np.array(boxes, np.float32).reshape(-1, 4))
    return sample_of_segments(image, painted, segments, taxonomy, known)


def _place(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The rows and columns in which anything is set."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return slice(0), slice(0)
    within = slice(rows[0], rows[-1] + 1)
    columns = np.flatnonzero(mask[within].any(axis=0))
    return within, slice(columns[0], columns[-1] + 1)
