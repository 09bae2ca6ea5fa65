"""Everything that a training which was ended needs to go on as if it had not been, in one file without pickle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from pipeline.errors import ModelError
from stages.models.nano.network import Nano
from stages.models.training.average import Average
from stages.models.training.checkpoint import load_weights
from stages.models.training.tensors import Header, read_tensors, write_tensors

_ENTRY = "everyframe-training"
_FORMAT = 1


class _Header(Header, frozen=True):
    step: int
    averaged: int
    recipe: str


@dataclass(slots=True)
class RunState:
    """A training between two steps."""

    network: Nano
    average: Average[Nano]
    optimiser: Optimizer
    step: int = 0  # how many are over

    def save(self, path: Path, *, recipe: str) -> None:
        """Write it, whole or not at all. `recipe` tells trainings apart. Raises `OSError`."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.network.state_dict().items()}
        tensors |= {f"optimiser.{name}": value for name, value in _flat(self.optimiser).items()}
        header = _Header(format=_FORMAT, step=self.step, averaged=self.average.steps, recipe=recipe)
        write_tensors(path, tensors, _ENTRY, header)

    def load(self, path: Path, *, recipe: str) -> None:
        """Take on what a file says.

        Raises:
            ModelError: when the file cannot be read, or is of another recipe.
        """
        header, tensors = read_tensors(path, _ENTRY, _Header, reads=_FORMAT, what="the state of a training")
        if header.recipe != recipe:
            raise ModelError(f"{path}: is of another recipe; give another --output, or the recipe it was begun with")
        load_weights(self.network, _part(tensors, "network."), path)
        load_weights(self.average.network, _part(tensors, "average."), path)
        _restore(self.optimiser, _part(tensors, "optimiser."), path)
        self.step, self.average.steps = header.step, header.averaged


def _flat(optimiser: Optimizer) -> dict[str, Tensor]:
    """Its state by parameter and name: ``12.exp_avg``."""
    state = optimiser.state_dict()["state"]
    return {f"{number}.{name}": torch.as_tensor(value) for number, of in state.items() for name, value in of.items()}


def _restore(optimiser: Optimizer, tensors: dict[str, Tensor], path: Path) -> None:
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, _, of = name.partition(".")
        if not number.isdecimal() or int(number) >= len(weights):
            raise ModelError(f"{path}: tells of weight {number} in training; this recipe trains {len(weights)}")
        state.setdefault(int(number), {})[of] = _laid_out_as(weights[int(number)], value)
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def _laid_out_as(weight: Tensor, value: Tensor) -> Tensor:
    """A value of a weight in the memory layout of the weight, so that a step goes over both as it did before."""
    if value.shape != weight.shape:
        return value
    return torch.empty_like(weight, dtype=value.dtype, device=value.device).copy_(value)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
