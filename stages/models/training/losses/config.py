"""Which losses are taken, and how much each counts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pipeline.config.settings import Settings
from stages.models.training.losses.boxes import BOX_LOSSES
from stages.models.training.losses.classes import CLASS_LOSSES
from stages.models.training.losses.masks import MASK_LOSSES
from stages.models.training.losses.stuff import STUFF_LOSSES

Weight = Annotated[float, Meta(ge=0, le=1000)]


class LossWeightSettings(Settings, frozen=True):
    """How much each term counts."""

    classes: Weight = 2.0
    boxes: Weight = 2.5
    masks: Weight = 1.5
    semantic: Weight = 1.5
    distances: Annotated[Weight, Meta(description="Where the network has distributions of them.")] = 0.5


class LossSettings(Settings, frozen=True):
    """Which losses are taken, and how much each counts."""

    classes: Literal["quality-focal", "focal", "bce"] = "quality-focal"
    boxes: Literal["ciou", "diou", "giou", "iou"] = "ciou"
    masks: Annotated[dict[str, Weight], Meta(description="Shares of bce, dice, focal and lovasz.")] = msgspec.field(
        default_factory=lambda: {"bce": 1.0, "dice": 1.0}
    )
    semantic: Annotated[
        dict[str, Weight], Meta(description="Shares of cross-entropy, ohem, dice, lovasz and focal.")
    ] = msgspec.field(default_factory=lambda: {"cross-entropy": 1.0})
    weights: LossWeightSettings = LossWeightSettings()

    def __post_init__(self) -> None:
        _check("classes", [self.classes], CLASS_LOSSES)
        _check("boxes", [self.boxes], BOX_LOSSES)
        _check("masks", self.masks, MASK_LOSSES)
        _check("semantic", self.semantic, STUFF_LOSSES)


def _check(path: str, names: Collection[str], known: Collection[str]) -> None:
    if not names:
        raise ValueError(f"loss.{path}: there is none; give at least one of {', '.join(known)}")
    for name in names:
        if name not in known:
            raise ValueError(f"loss.{path}: {name!r}; there are {', '.join(known)}")
