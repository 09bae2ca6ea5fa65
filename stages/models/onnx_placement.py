"""Where ONNX networks run: on the CPU, or on a GPU by ONNX Runtime, as asked and as far as it is there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.config import DetectorConfig, SegmenterConfig
from pipeline.config.gpus import gpu_names
from pipeline.errors import ModelError
from stages.models.backend import Backend, Kind, Network, Normalisation, PictureSize, open_network
from stages.models.devices import Cuda, Device, choose_device
from stages.models.execution_providers import ProviderMissing, absence, runtime


@dataclass(frozen=True, slots=True)
class Placed:
    """The place of all ONNX networks of a run.

    Attributes:
        device: where they run.
        note: what was found and why this was chosen; empty where nothing was to choose.
        may_fall_back: the CPU will do where ONNX Runtime turns out not to work on the device.
        largest: frames a batch.
        told: what was fallen back to since.
    """

    device: Device = Device("cpu", "")
    note: str = ""
    may_fall_back: bool = False
    largest: int = 1
    told: list[str] = field(default_factory=list)

    def open(self, path: Path, backend: Literal["auto"] | Kind, size: PictureSize | None = None) -> Network:
        """A graph, read by the runtime that will run it; `size` as `open_network`. Raises `ModelError`."""
        return open_network(path, kind="onnxruntime" if self.device.is_cuda else backend, size=size)

    def compile(
        self,
        network: Network,
        config: DetectorConfig | SegmenterConfig,
        *,
        normalise: Normalisation,
        planar: Collection[int] = (),
        lanes: int = 1,
    ) -> Backend:
        """Make it run here. Raises `ModelError`."""
        if self.device.is_cuda:
            from stages.models.onnxruntime_backend import OnnxRuntimeNetwork

            assert isinstance(network, OnnxRuntimeNetwork)
            try:
                return network.on_device(
                    self.device,
                    normalise=normalise,
                    planar=planar,
                    precision=config.precision,
                    provider=config.provider,
                    lanes=lanes,
                    largest=self.largest,
                )
            except ProviderMissing as exc:
                if not self.may_fall_back:
                    raise ModelError(str(exc)) from exc
                self.told.append(f"device auto: the CPU after all; {exc}")
        return network.compile(
            normalise=normalise, planar=planar, precision=config.precision, threads=config.threads, lanes=lanes
        )


def place(asked: str, *, may_use_gpu: bool, largest: int = 1, cuda: Cuda | None = None) -> Placed:
    """The place for ONNX networks.

    Args:
        asked: the setting `device`.
        may_use_gpu: whether networks and backends are such as run on one.
        largest: frames a batch.
        cuda: in place of `torch.cuda`.

    Raises:
        ConfigError: when a CUDA device is asked for by name and is not there.
        ModelError: when it is, and ONNX Runtime is missing or a build without CUDA.
    """
    names = gpu_names() if asked == "auto" else []
    if asked == "cpu" or (asked == "auto" and not names):
        return Placed()
    if not may_use_gpu:
        return Placed(note=f"device auto: the CPU; {names[0]} is for other models, or for backend onnxruntime")
    automatic = asked == "auto"
    try:
        why = absence(runtime().get_available_providers(), runtime().__version__)
    except ModelError:
        why = "onnxruntime is not installed; pip install onnxruntime-gpu"
    device = choose_device(asked, cuda=cuda)
    if device.is_cuda and why and not automatic:
        raise ModelError(f"device: {asked!r} cannot be used, {why}")
    if why:
        return Placed(note=f"device auto: the CPU; for {names[0]} {why}")
    if not device.is_cuda:
        return Placed(note=device.note)
    from stages.models.cuda_streams import sleep_while_waiting

    sleep_while_waiting(device.name)
    return Placed(device, device.note, may_fall_back=automatic, largest=largest)
