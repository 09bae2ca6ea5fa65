"""From a frame and its labels to a picture with truth."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.messages import Detections, PanopticMap
from stages.models.adaptation.following import FrameLabels
from stages.models.labelled.sample import FIRST_OBJECT, MAX_OBJECTS, Sample
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.labelled.views import resample

LARGEST_SIDE: Final = 960  # pixels; more detail than the network sees costs time with every picture


def sample_of(
    rgb: NDArray[np.uint8],
    found: FrameLabels,
    *,
    taxonomy: Taxonomy,
    known: NDArray[np.bool_],
    panoptic: PanopticMap | None = None,
) -> Sample:
    """A frame [H, W, 3] with its labels, no larger than `LARGEST_SIDE`.

    Doubtful objects have visibility 0. Regions are those of the map, where there is one, else void.

    Args:
        rgb: the frame.
        found: its labels, in pixels of it; of more than can be numbered the surest are kept.
        taxonomy: of the labels.
        known: [things], the classes that were looked for.
        panoptic: which pixels are of what, as a `Mapper` gives it for these labels.
    """
    height, width = rgb.shape[:2]
    order = np.lexsort((-found.scores, ~found.certain))[:MAX_OBJECTS]
    boxes = found.boxes[order].clip(0, np.array([width, height, width, height], np.float32)).astype(np.float32)
    labels = found.labels[order]
    regions = (
        np.zeros((height, width), np.uint8)
        if panoptic is None
        else regions_of(panoptic, order, taxonomy=taxonomy, width=width, height=height)
    )
    visibility = found.certain[order].astype(np.float32)
    sample = Sample(rgb, regions, boxes, labels, visibility, known)
    ratio = LARGEST_SIDE / max(width, height)
    if ratio >= 1:
        return sample
    return resample(sample, (0, 0, width, height), width=round(width * ratio), height=round(height * ratio))


def regions_of(
    panoptic: PanopticMap, order: NDArray[np.int64], *, taxonomy: Taxonomy, width: int, height: int
) -> NDArray[np.uint8]:
    """`Sample.regions` [height, width] of a map: ground by class, a thing by its object, void where it is of none.

    Args:
        panoptic: in the taxonomy's labels; `detection_index` of its segments counts objects as they were found.
        order: [N], the objects that the sample has, as they were found, in the sample's order.
        taxonomy: of the labels.
        width, height: pixels of the frame.
    """
    segments = panoptic.segments
    places = {int(row): place for place, row in enumerate(order)}
    table = np.zeros(int(segments.ids.max(initial=0)) + 1, np.uint8)
    columns = (segments.ids, segments.labels, segments.is_thing, segments.detection_index)
    for number, label, is_thing, row in zip(*columns, strict=True):
        if not is_thing:
            table[number] = taxonomy.region(int(label))
        elif int(row) in places:
            table[number] = FIRST_OBJECT + places[int(row)]
    return table[panoptic.at_size(width, height)]


def as_detections(found: FrameLabels) -> Detections:
    """The labels as a detector's boxes, all of them sure, for what paints masks into boxes."""
    scores = np.where(found.certain, 1.0, 0.9).astype(np.float32)
    return Detections.of(found.boxes, scores, found.labels.astype(np.int32))
