"""Which classes of a panoptic network are things: told by their names, as the networks do not say."""

from __future__ import annotations

from collections.abc import Sequence

from stages.detect.coco import COCO_CLASSES

CITYSCAPES_THINGS: tuple[str, ...] = (
    "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
THINGS = frozenset(COCO_CLASSES) | frozenset(CITYSCAPES_THINGS)


def is_thing(name: str) -> bool:
    """Whether objects of this class are countable, as COCO's 80 and the 8 of Cityscapes are; ``car, auto`` is a car."""
    return any(part.strip().lower() in THINGS for part in name.split(","))


def things_first(names: Sequence[str]) -> list[int]:
    """Indices of classes, things before stuff, each in their order."""
    return sorted(range(len(names)), key=lambda i: (not is_thing(names[i]), i))
