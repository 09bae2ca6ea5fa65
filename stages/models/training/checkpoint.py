"""A trained network in one file: weights as safetensors, and what they are of in its header.

The header's `everyframe` is JSON: `{"format": 1, "classes": {"things": [..], "stuff": [..], "gathers": {..}},
"network": {..}, "training": ".."}`. Nothing in it is executed, and nothing is taken from it unchecked.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor

from pipeline.errors import ConfigError, ModelError
from pipeline.messages import Classes
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.nano.network import Nano, NanoConfig
from stages.models.training.tensors import Header, read_tensors, write_tensors

FORMAT = 1
_ENTRY = "everyframe"


class _Classes(msgspec.Struct, frozen=True):
    things: tuple[str, ...]
    stuff: tuple[str, ...]
    gathers: dict[str, tuple[str, ...]] = {}


class _Header(Header, frozen=True):
    classes: _Classes
    network: dict[str, Any]
    training: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a file holds."""

    network: Nano
    taxonomy: Taxonomy
    training: str  # how it was trained, for a person


def write_checkpoint(path: Path, network: Nano, taxonomy: Taxonomy, *, training: str = "") -> None:
    """Write the weights, whole or not at all.

    Raises:
        OSError: when the file cannot be written; what was there before is still there.
    """
    classes = _Classes(taxonomy.things, taxonomy.stuff, dict(taxonomy.gathers))
    header = _Header(format=FORMAT, classes=classes, network=asdict(network.config), training=training)
    write_tensors(path, network.state_dict(), _ENTRY, header)


def read_checkpoint(path: Path) -> Checkpoint:
    """The network in evaluation mode, on the CPU, with its classes.

    Raises:
        ModelError: naming the file and what it lacks.
    """
    header, state = read_tensors(path, _ENTRY, _Header, reads=FORMAT, what="a checkpoint of `everyframe train`")
    try:
        taxonomy = Taxonomy(
            classes=Classes(header.classes.things, header.classes.stuff), gathers=header.classes.gathers
        )
        network = Nano(_network_config(header.network))
    except (ConfigError, TypeError, ValueError, msgspec.ValidationError) as exc:
        raise ModelError(f"{path}: its header is not one of ours: {exc}") from exc
    config = network.config
    if (config.things, config.classes) != (len(taxonomy.things), len(taxonomy.classes.names)):
        raise ModelError(
            f"{path}: {len(taxonomy.things)} things of {len(taxonomy.classes.names)} classes are named; "
            f"the network tells {config.things} of {config.classes} apart"
        )
    load_weights(network, state, path)
    return Checkpoint(network=network.eval(), taxonomy=taxonomy, training=header.training)


def load_weights(network: Nano, state: dict[str, Tensor], path: Path) -> None:
    """Put weights by name into the network. Raises `ModelError`, naming the file and the first that does not fit."""
    own = network.state_dict()
    for name in sorted(own.keys() | state.keys()):
        if name not in state or name not in own:
            raise ModelError(f"{path}: weights {name} are {'missing' if name not in state else 'of another network'}")
        if own[name].shape != state[name].shape:
            raise ModelError(
                f"{path}: weights {name} of shape {tuple(state[name].shape)}, not {tuple(own[name].shape)}"
            )
    network.load_state_dict(state)


def _network_config(values: dict[str, Any]) -> NanoConfig:
    known = {field.name for field in fields(NanoConfig)}
    if unknown := sorted(values.keys() - known):
        raise ValueError(f"network.{unknown[0]} is unknown")
    return msgspec.convert(values, NanoConfig)
