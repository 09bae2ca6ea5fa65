"""Which losses are taken, and how much each counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pipeline.errors import ConfigError
from stages.models.training.losses.boxes import BOX_LOSSES
from stages.models.training.losses.classes import CLASS_LOSSES
from stages.models.training.losses.masks import MASK_LOSSES
from stages.models.training.losses.stuff import STUFF_LOSSES


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """How much each term counts; `distances` only where the network has distributions of them."""

    classes: float = 2.0
    boxes: float = 2.5
    masks: float = 1.5
    semantic: float = 1.5
    distances: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class LossConfig:
    """The losses by name.

    Attributes:
        classes: of scores, one of `CLASS_LOSSES`.
        boxes: one of `BOX_LOSSES`.
        masks: names of `MASK_LOSSES`, and the share of each.
        semantic: names of `STUFF_LOSSES`, and the share of each.
        weights: how much each term counts.
        masks_per_object: masks are learnt at this many of an object's best anchors; they cost more than boxes.

    Raises:
        ConfigError: for a name that is none, or no name at all.
    """

    classes: str = "quality-focal"
    boxes: str = "ciou"
    masks: Mapping[str, float] = field(default_factory=lambda: {"bce": 1.0, "dice": 1.0})
    semantic: Mapping[str, float] = field(default_factory=lambda: {"cross-entropy": 1.0})
    weights: LossWeights = field(default_factory=LossWeights)
    masks_per_object: int = 2

    def __post_init__(self) -> None:
        if self.masks_per_object < 1:
            raise ConfigError(f"loss.masks_per_object: {self.masks_per_object}; it is 1 or more")
        _check("loss.classes", [self.classes], CLASS_LOSSES)
        _check("loss.boxes", [self.boxes], BOX_LOSSES)
        _check("loss.masks", self.masks, MASK_LOSSES)
        _check("loss.semantic", self.semantic, STUFF_LOSSES)


def _check(path: str, names: Collection[str], known: Collection[str]) -> None:
    if not names:
        raise ConfigError(f"{path}: there is none; give at least one of {', '.join(known)}")
    for name in names:
        if name not in known:
            raise ConfigError(f"{path}: {name!r}; there are {', '.join(known)}")
