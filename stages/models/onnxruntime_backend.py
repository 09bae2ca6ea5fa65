"""Networks on ONNX Runtime: an optional second runtime on the CPU, and the one for ONNX graphs on a GPU.

``pip install onnxruntime``, or ``onnxruntime-gpu`` in its place.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import ModelError
from pipeline.messages import Float32
from stages.models import backend as backends
from stages.models.backend import DYNAMIC, Normalisation, Pictures, PictureSize, Port, Precision, Signature
from stages.models.execution_providers import (
    CPU,
    TENSORRT,
    Provider,
    ProviderMissing,
    choose_providers,
    load_libraries,
    runtime,
    settled,
)

if TYPE_CHECKING:
    from stages.models.devices import Device
    from stages.models.onnx_device_backend import OnnxDeviceBackend

_ELEMENTS: dict[str, Any] = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


class OnnxRuntimeNetwork:
    """A graph read by ONNX Runtime, which needs a session for it."""

    def __init__(self, path: Path, size: PictureSize | None = None) -> None:
        self._path = path
        self._sizes: dict[str, int] = {}  # of dimensions that the graph names and leaves open
        # The signature needs no optimising: the session that runs is made once lanes are known.
        session = self._session(_options(threads=1, optimise=False), [CPU])
        self.signature = Signature(
            tuple(Port(node.name, _shape(node.shape)) for node in session.get_inputs()),
            tuple(Port(node.name, _shape(node.shape)) for node in session.get_outputs()),
        )
        if (shape := backends.sized_input(path, self.signature, size)) is not None and size is not None:
            self._set_size(shape, size)

    def _set_size(self, shape: tuple[int, ...], size: PictureSize) -> None:
        """Fix the picture's size, and look what shapes come out: the graph tells them as formulas at best."""
        session = self._session(_options(threads=0, optimise=False), [CPU])
        (given,) = session.get_inputs()
        picture = np.zeros([n or 1 for n in shape], _ELEMENTS.get(given.type, np.float32))
        try:
            seen = [session.run(None, {given.name: levels}) for levels in (picture, _noise(picture))]
        except Exception as exc:  # its errors share no other base class
            raise backends.unsuitable(self._path, size) from exc
        self._sizes = _named_sizes(given.shape, shape)
        outputs = [
            Port(port.name, _known_shape(port.shape, [one.shape for one in arrays]))
            for port, arrays in zip(self.signature.outputs, zip(*seen, strict=True), strict=True)
        ]
        self.signature = Signature((Port(given.name, shape),), tuple(outputs))

    def compile(
        self,
        *,
        normalise: Normalisation | None = None,
        planar: Collection[int] = (),
        precision: Precision = "auto",
        threads: int = 0,
        lanes: int = 1,
    ) -> OnnxRuntimeBackend:
        """Make it run. Raises `ModelError` where ONNX Runtime refuses."""
        if precision not in ("auto", "f32"):
            raise ModelError(
                f"precision {precision!r} is not available on onnxruntime; use f32, or the openvino backend"
            )
        a_lane = max(threads // lanes, 1) if threads or lanes > 1 else 0
        session = self._session(_options(threads=a_lane), [CPU])
        return OnnxRuntimeBackend(session, self.signature, normalise, planar)

    def on_device(
        self,
        device: Device,
        *,
        normalise: Normalisation | None = None,
        planar: Collection[int] = (),
        precision: Precision = "auto",
        provider: Provider = "auto",
        lanes: int = 1,
        largest: int = 1,
    ) -> OnnxDeviceBackend:
        """Make it run on a CUDA device, up to `largest` pictures at once where the graph takes several.

        Raises:
            ProviderMissing: when ONNX Runtime cannot use the device.
            ModelError: when it refuses for another reason.
        """
        import torch

        from stages.models.bound_session import BoundSession
        from stages.models.onnx_device_backend import OnnxDeviceBackend

        there = torch.device(device.name)
        stream: Any = torch.cuda.Stream(there)  # type: ignore[no-untyped-call]
        load_libraries()
        version = runtime().__version__
        chosen = choose_providers(
            provider,
            device=device,
            precision=precision,
            stream=stream.cuda_stream,
            available=runtime().get_available_providers(),
            version=version,
            model_sha256=backends.checksum(self._path),
            picture=self.signature.input_size,
        )
        try:
            session = self._session(_options(threads=1), list(chosen.providers))
        except ModelError as exc:  # a CPU has read the same graph
            raise ProviderMissing(f"device {device.name}: onnxruntime {version} refuses: {exc.__cause__}") from exc
        chosen = settled(chosen, session.get_providers(), device=device, version=version)
        return OnnxDeviceBackend(
            BoundSession(
                session,
                there,
                name=self._path.stem,
                shapes={port.name: port.shape for port in self.signature.outputs},
            ),
            self.signature,
            normalise=normalise,
            planar=planar,
            device=there,
            stream=stream,
            lanes=lanes,
            largest=1 if chosen.providers[0][0] == TENSORRT else largest,  # an engine is for one shape
            name=self._path.stem,
            note=f"ONNX Runtime {'fp16' if precision == 'fp16' else 'f32'} on {device.name}, {chosen.note}",
            first_start=chosen.first_start,
        )

    def _session(self, options: Any, providers: list[Any]) -> Any:
        for name, n in self._sizes.items():
            options.add_free_dimension_override_by_name(name, n)
        try:
            return runtime().InferenceSession(str(self._path), options, providers=providers, enable_fallback=0)
        except Exception as exc:  # its errors share no other base class
            raise backends.unreadable(self._path, exc) from exc


def _options(*, threads: int, optimise: bool = True) -> Any:
    options = runtime().SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    if not optimise:
        options.graph_optimization_level = runtime().GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


class OnnxRuntimeBackend:
    """A session of ONNX Runtime, which several threads may run at once."""

    kind = "onnxruntime"
    note = "ONNX Runtime f32"

    def __init__(
        self, session: Any, signature: Signature, normalise: Normalisation | None, planar: Collection[int]
    ) -> None:
        self._session = session
        self._normalise = normalise
        self._channels_last = signature.channels_last
        self._names = [port.name for port in signature.outputs]
        self._element = _ELEMENTS.get(session.get_inputs()[0].type, np.float32)
        height, width = signature.input_size
        shape = signature.inputs[0].shape
        self.input_name = signature.inputs[0].name
        self.input_shape = shape if normalise is None else (shape[0], height, width, 3)
        self._planar = [i in planar for i in range(len(signature.outputs))]
        self.outputs = {
            port.name: _planar(port.shape) if planar else port.shape
            for port, planar in zip(signature.outputs, self._planar, strict=True)
        }
        backends.register(self)

    def __call__(self, inputs: Pictures) -> dict[str, Float32]:
        """Outputs by name, float32 [N, ...]. Raises `ModelError`."""
        backends.check_pictures(inputs, self.input_shape)
        parts = [self._run(inputs[i : i + 1]) for i in range(len(inputs))]
        if len(parts) == 1:
            return parts[0]
        return {
            name: np.concatenate([part[name] for part in parts]) if parts else np.zeros((0, *shape[1:]), np.float32)
            for name, shape in self.outputs.items()
        }

    def view(self, inputs: Pictures) -> dict[str, Float32]:
        """One picture's outputs. Raises `ModelError`."""
        return self._run(inputs)

    def close(self) -> None:
        """Release the session."""
        self._session = None
        backends.unregister(self)

    def _run(self, inputs: Pictures) -> dict[str, Float32]:
        session = self._session
        if session is None:
            raise ModelError("the network was closed and cannot be called any more")
        try:
            arrays = session.run(None, {self.input_name: self._prepared(inputs)})
        except Exception as exc:  # its errors share no other base class
            raise ModelError(f"the network failed on a picture of shape {list(inputs.shape)}: {exc}") from exc
        return {
            name: np.ascontiguousarray(array.transpose(0, 3, 1, 2) if planar else array, dtype=np.float32)
            for name, array, planar in zip(self._names, arrays, self._planar, strict=True)
        }

    def _prepared(self, inputs: Pictures) -> Pictures:
        """What the graph takes, from what the backend takes."""
        normalise = self._normalise
        if normalise is not None:
            mean = np.array(normalise.mean, dtype=np.float32)
            inputs = (inputs.astype(np.float32) - mean) / np.array(normalise.deviation, dtype=np.float32)
            if not self._channels_last:
                inputs = np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))
        return inputs.astype(self._element, copy=False)


def _noise(picture: Pictures) -> Pictures:
    return np.random.default_rng(0).integers(0, 256, picture.shape).astype(picture.dtype)


def _named_sizes(named: Sequence[Any], shape: tuple[int, ...]) -> dict[str, int]:
    """Sizes by the names that a graph gives to open dimensions; without a name that stands for two sizes."""
    sizes: dict[str, set[int]] = {}
    for name, n in zip(named, shape, strict=True):
        if isinstance(name, str):
            sizes.setdefault(name, set()).add(n)
    return {name: n for name, (n, *others) in sizes.items() if n != DYNAMIC and not others}


def _known_shape(stated: tuple[int, ...], seen: list[tuple[int, ...]]) -> tuple[int, ...]:
    """An output's shape of which nothing is open but the batch, and what differs from picture to picture."""
    if len({len(shape) for shape in seen}) > 1:
        return stated
    batch = stated[0] if stated else DYNAMIC
    return (batch, *(n if n == other else DYNAMIC for n, other in zip(*(shape[1:] for shape in seen), strict=True)))


def _planar(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], shape[3], shape[1], shape[2])


def _shape(dimensions: list[Any]) -> tuple[int, ...]:
    return tuple(n if isinstance(n, int) and n > 0 else DYNAMIC for n in dimensions)
