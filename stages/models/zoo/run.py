"""From a network of the zoo to a backend that runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.config import DetectorConfig, SegmenterConfig
from pipeline.errors import ConfigError
from stages.models.devices import Device

if TYPE_CHECKING:
    from stages.models.device_backend import DeviceBackend
    from stages.models.torch_backend import TorchBackend, TorchNetwork
    from stages.models.zoo.model import TorchModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What torch networks may use of this machine."""

    device: Device
    lanes: int = 1  # threads that will call at the same time
    largest: int = 1  # frames a batch
    offline: bool = False  # fetch no weights


def run_on(model: TorchModel, config: DetectorConfig | SegmenterConfig, machine: Machine) -> TorchBackend:
    """The network, ready to run on pictures that were made on the host. Raises `ModelError`, `ConfigError`."""
    return _network(model, config, machine).compile(
        normalise=model.picture.normalise,
        precision=config.precision,
        threads=config.threads,
        lanes=machine.lanes,
        execution=config.execution,
        largest=machine.largest,
    )


def look_with(model: TorchModel, config: DetectorConfig | SegmenterConfig, machine: Machine) -> DeviceBackend:
    """The network, ready to look at surfaces on its device. Raises `ModelError`, `ConfigError`."""
    return _network(model, config, machine).on_device(
        model.picture, precision=config.precision, execution=config.execution, largest=machine.largest
    )


def _network(model: TorchModel, config: DetectorConfig | SegmenterConfig, machine: Machine) -> TorchNetwork:
    from stages.models.torch_backend import TorchNetwork

    if config.backend != "auto":
        raise ConfigError(f"backend: {config.backend} cannot run {config.model}, which is torch's; leave it at auto")
    return TorchNetwork(
        model.module,
        name=model.name,
        input_size=(model.picture.height, model.picture.width),
        device=machine.device,
        static=model.static,
        usual_precision=model.usual_precision,
    )
