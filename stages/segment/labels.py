"""Class names of the usual semantic networks, and how they join a detector's classes."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.messages import Classes

BACKGROUND = "background"

# Everingham et al. 2010, the PASCAL VOC challenge, in the order of its masks.
VOC_CLASSES: tuple[str, ...] = (
    BACKGROUND, "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
# Cordts et al. 2016 (arXiv:1604.01685), the 19 classes that are evaluated.
CITYSCAPES_CLASSES: tuple[str, ...] = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
TWINLITE_CLASSES: tuple[str, ...] = (BACKGROUND, "drivable area", "lane line")

# What a network without names is taken to be, by its number of classes.
BY_COUNT: dict[int, tuple[str, ...]] = {len(names): names for names in (VOC_CLASSES, CITYSCAPES_CLASSES)}

# Pascal VOC's names for classes that COCO has under another.
SYNONYMS: dict[str, str] = {
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}


def join_classes(things: Sequence[str], semantic: Sequence[str]) -> tuple[Classes, list[int | None]]:
    """One label space for a detector's `things` and a segmenter's classes: the class map of merge rule b.

    A segmenter's class that the detector finds, under its own name or COCO's for it, is that thing; any other is stuff;
    the background is void.

    Returns:
        The joint classes, and for each of the segmenter's classes its label in them, None for void.
    """
    names = list(things)
    labels: list[int | None] = []
    for name in semantic:
        if name == BACKGROUND:
            labels.append(None)
            continue
        known = name if name in names else SYNONYMS.get(name, name)
        if known not in names:
            names.append(known)
        labels.append(names.index(known))
    return Classes(tuple(things), tuple(names[len(things) :])), labels
