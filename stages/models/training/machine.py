"""What a training computes on: device, threads, copies and precision, as the machine has them."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from pipeline.errors import ConfigError
from stages.models.devices import choose_device
from stages.models.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Machine:
    """What was chosen."""

    device: torch.device
    threads: int
    bf16: bool


def machine_for(recipe: Recipe, *, copies: int) -> Machine:
    """What one of so many copies computes on. Raises `ConfigError` for a device that is not there."""
    device = torch.device(choose_device(recipe.device).name)
    cores = len(os.sched_getaffinity(0))
    threads = recipe.threads or max(cores // copies, 1)
    bf16 = recipe.precision == "bf16" or (recipe.precision == "auto" and computes_in_bf16(device))
    return Machine(device, threads, bf16)


def copies_for(recipe: Recipe) -> int:
    """Processes that train together.

    On a CPU one a core: a layer of a small network is over before several threads have met.

    Raises:
        ConfigError: for more copies than pictures, or a device that is not there.
    """
    if recipe.copies > recipe.batch:
        raise ConfigError(f"copies: {recipe.copies}, for a batch of {recipe.batch}; every copy needs a picture a step")
    if recipe.copies:
        return recipe.copies
    cores = len(os.sched_getaffinity(0))
    return 1 if choose_device(recipe.device).is_cuda else min(cores, recipe.batch)


def computes_in_bf16(device: torch.device) -> bool:
    """Whether it does so itself; without, torch makes up for it, ten times slower."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    from stages.models.openvino_runtime import native_bf16

    return native_bf16()
