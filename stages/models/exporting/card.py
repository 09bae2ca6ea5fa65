"""The card beside an exported file: what a user of it must know, and what was measured with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import ModelError
from pipeline.messages import Classes
from stages.models.backend import checksum
from stages.models.nano.network import Nano, NanoConfig


def card_of(
    network: Nano,
    classes: Classes,
    *,
    name: str,
    version: str,
    training: str,
    width: int,
    height: int,
    offsets: Sequence[float],
    checked: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A card without checksums: `sign` adds them when the files are written."""
    return {
        "name": name,
        "version": version,
        "things": list(classes.things),
        "stuff": list(classes.stuff),
        "input_height": height,
        "input_width": width,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "network": asdict(network.config),
        "training": training,
        "class_offsets": dict(zip(classes.things, offsets, strict=True)),
        "checked": dict(checked or {}),
        "figures": {},
    }


def write_card(path: Path, card: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Write the card with the checksums of its files, the first of which is the one it was named after."""
    sums = {file.name: checksum(file) for file in files}
    signed = {**card, "sha256": sums[files[0].name], "files": sums}
    path.write_text(json.dumps(signed, indent=2) + "\n", encoding="utf-8")


def read_whole_card(model: Path) -> dict[str, Any]:
    """Everything on the card beside a model. Raises `ModelError` where there is none, or it is no card."""
    path = model.with_suffix(".json")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ModelError(f"{path}: the model's card cannot be read ({exc.strerror}); it is written beside it") from exc
    except (ValueError, RecursionError) as exc:
        raise ModelError(f"{path}: not a model card: {exc}") from exc
    if not isinstance(card, dict) or not all(isinstance(card.get(part), list) for part in ("things", "stuff")):
        raise ModelError(f"{path}: not a model card; it has no lists 'things' and 'stuff'")
    return card


def class_offsets(model: Path, card: Mapping[str, Any], things: Sequence[str]) -> list[float]:
    """What the card beside a model says is added to each thing's logits; 0 where it says nothing.

    Raises:
        ModelError: when that is no number.
    """
    offsets = card.get("class_offsets") or {}
    try:
        return [float(offsets.get(name, 0.0)) for name in things]
    except (AttributeError, TypeError, ValueError) as exc:
        raise ModelError(f"{model.with_suffix('.json')}: 'class_offsets' are not a number a class: {exc}") from exc


def network_config(card: Mapping[str, Any]) -> NanoConfig:
    """The shape of the network a card is of; one from before cards told it has the shape of that time.

    Raises:
        ModelError: when the card tells of a shape that there is not.
    """
    counts = {"things": len(card["things"]), "classes": len(card["things"]) + len(card["stuff"])}
    written = card.get("network", {})
    if not isinstance(written, dict):
        raise ModelError(f"card of {card.get('name')}: 'network' is {written!r}; the shape of a network is needed")
    try:
        return msgspec.convert(written | counts, NanoConfig)
    except msgspec.ValidationError as exc:
        raise ModelError(f"card of {card.get('name')}: 'network' is not a shape of everyframe-nano: {exc}") from exc
