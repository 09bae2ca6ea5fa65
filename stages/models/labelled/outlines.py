"""Objects told one by one, with masks that may overlap or be missing, painted into one map."""

from __future__ import annotations

from collections.abc import Sequence
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
    image: NDArray[np.uint8], objects: Sequence[Outlined], taxonomy: Taxonomy, known: NDArray[np.bool_] | None
) -> Sample:
    """Paint and number them: crowds first, then the larger before the smaller, which is mostly in front.

    What no object covers is void.
    """
    painted = np.zeros(image.shape[:2], np.int32)
    masks = [(number, one.crowd, one.mask) for number, one in enumerate(objects) if one.mask is not None]
    for number, _, mask in sorted(masks, key=lambda told: (not told[1], -int(told[2].sum()))):
        painted[mask] = number + 1
    boxes = np.array([one.box for one in objects], np.float32).reshape(-1, 4)
    segments = Segments.of([one.label for one in objects], [one.crowd for one in objects], boxes)
    return sample_of_segments(image, painted, segments, taxonomy, known)
