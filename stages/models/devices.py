"""Which device a torch network runs on: what was asked for, what was found, and what was fallen back to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.config.gpus import gpu_names
from pipeline.errors import ConfigError

GIB = 1 << 30


class Cuda(Protocol):
    """What is asked of `torch.cuda`; a fake in tests."""

    def is_available(self) -> bool:
        """Whether torch can use a device."""

    def device_count(self) -> int:
        """Devices that torch sees."""

    def get_device_properties(self, device: int) -> Any:
        """Its `name`, `total_memory` in bytes, `major` and `minor` compute capability."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device that was chosen.

    Attributes:
        name: ``cpu`` or ``cuda:N``, as torch has it.
        note: what was found and why this was chosen, for the log.
    """

    name: str
    note: str

    @property
    def is_cuda(self) -> bool:
        """Whether it is a GPU."""
        return self.name != "cpu"


def choose_device(asked: str, *, cuda: Cuda | None = None, built_for: str | None = "") -> Device:
    """The device for `asked`: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Args:
        asked: the setting.
        cuda: in place of `torch.cuda`.
        built_for: CUDA version that torch was built for, None for none; empty asks torch.

    Raises:
        ConfigError: when a CUDA device is asked for by name and is not there, with what is.
    """
    if asked == "cpu":
        return Device("cpu", "device cpu: as asked")
    if cuda is None:
        import torch

        cuda, built_for = torch.cuda, torch.version.cuda
    count = cuda.device_count() if cuda.is_available() else 0
    if count == 0:
        why = _absence(built_for)
        if asked != "auto":
            raise ConfigError(f"device: {asked!r} cannot be used, {why}; 'cpu' or 'auto' is needed")
        return Device("cpu", f"device auto: the CPU, {why}")
    index = int(asked.partition(":")[2] or 0)
    if index >= count:
        there = ", ".join(f"cuda:{i}" for i in range(count))
        raise ConfigError(f"device: {asked!r} is not there; found {there}")
    return Device(f"cuda:{index}", f"device {asked}: {_described(cuda, index)}, {count} found")


def _described(cuda: Cuda, index: int) -> str:
    properties = cuda.get_device_properties(index)
    memory = properties.total_memory / GIB
    return f"cuda:{index}, {properties.name}, {memory:.0f} GiB, compute {properties.major}.{properties.minor}"


def _absence(built_for: str | None) -> str:
    """Why torch sees no CUDA device, as far as can be told."""
    if built_for is None:
        return "this torch was built without CUDA"
    names = gpu_names()
    if names:
        return f"torch cannot use {names[0]}: its driver may be older than CUDA {built_for or 'of this torch'} needs"
    return "no NVIDIA GPU was found"
