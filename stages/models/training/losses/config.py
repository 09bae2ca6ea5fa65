"""Which losses are taken, and how much each counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import msgspec

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


def loss_config(settings: Mapping[str, Any]) -> LossConfig:
    """The configuration in a recipe's `loss`: ``{boxes: giou, masks: [bce, lovasz], semantic: {ohem: 1, dice: 0.5}}``.

    Fields are those of `LossConfig` and, in `weights`, of `LossWeights`; what is left out is as by default. A name
    alone, and each of a list of names, counts 1.

    Raises:
        ConfigError: for an unknown field, a wrong type, a weight below 0 or a name of no loss.
    """
    _check_fields("loss", settings, LossConfig)
    given = {**settings, **{name: _shares(settings[name]) for name in ("masks", "semantic") if name in settings}}
    if isinstance(weights := given.get("weights", {}), Mapping):
        _check_fields("loss.weights", weights, LossWeights)
    try:
        config = msgspec.convert(given, LossConfig)
    except msgspec.ValidationError as exc:
        # A ConfigError of `LossConfig` itself is no ValueError, and passes by.
        raise ConfigError(f"loss: {exc}") from exc
    _check_weights(config)
    return config


def _shares(names: object) -> object:
    """Names as a table of names and shares; what is neither a name nor a list stays as it is."""
    if isinstance(names, str):
        return {names: 1.0}
    if isinstance(names, list | tuple):
        return dict.fromkeys(names, 1.0)
    return names


def _check_fields(path: str, given: Collection[str], kind: type[LossConfig | LossWeights]) -> None:
    known = [one.name for one in fields(kind)]
    for name in given:
        if name not in known:
            raise ConfigError(f"{path}.{name}: no such setting; there are {', '.join(known)}")


def _check_weights(config: LossConfig) -> None:
    weights = {f"weights.{one.name}": getattr(config.weights, one.name) for one in fields(LossWeights)}
    shares = {f"{term}.{name}": w for term in ("masks", "semantic") for name, w in getattr(config, term).items()}
    for name, weight in (weights | shares).items():
        if not 0 <= weight < float("inf"):
            raise ConfigError(f"loss.{name}: {weight}; it is a number from 0 on")


def _check(path: str, names: Collection[str], known: Collection[str]) -> None:
    if not names:
        raise ConfigError(f"{path}: there is none; give at least one of {', '.join(known)}")
    for name in names:
        if name not in known:
            raise ConfigError(f"{path}: {name!r}; there are {', '.join(known)}")
