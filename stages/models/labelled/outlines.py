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
            taken = one.mask & (smallest > area)
            painted[taken] = number
            smallest[taken] = area
    segments = Segments.of(labels, crowds, np.array(boxes, np.float32).reshape(-1, 4))
    return sample_of_segments(image, painted, segments, taxonomy, known)
