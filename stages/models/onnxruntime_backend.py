"""Networks on ONNX Runtime's CPU provider: an optional second runtime (``pip install onnxruntime``)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import ModelError
from pipeline.messages import Float32
from stages.models import backend as backends
from stages.models.backend import DYNAMIC, Normalisation, Pictures, Port, Precision, Signature

_ELEMENTS: dict[str, Any] = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as exc:
        raise ModelError("backend 'onnxruntime' is not installed; pip install onnxruntime, or use openvino") from exc
    return onnxruntime


class OnnxRuntimeNetwork:
    """A graph read by ONNX Runtime, which needs a session for it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # The signature needs no optimising: the session that runs is made once lanes are known.
        session = self._session(threads=1, optimise=False)
        self.signature = Signature(
            tuple(Port(node.name, _shape(node.shape)) for node in session.get_inputs()),
            tuple(Port(node.name, _shape(node.shape)) for node in session.get_outputs()),
        )

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
        session = self._session(threads=a_lane, optimise=True)
        return OnnxRuntimeBackend(session, self.signature, normalise, planar)

    def _session(self, *, threads: int, optimise: bool) -> Any:
        runtime = _runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        if not optimise:
            options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            return runtime.InferenceSession(str(self._path), options, providers=["CPUExecutionProvider"])
        except Exception as exc:  # its errors share no other base class
            raise backends.unreadable(self._path, exc) from exc


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


def _planar(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], shape[3], shape[1], shape[2])


def _shape(dimensions: list[Any]) -> tuple[int, ...]:
    return tuple(n if isinstance(n, int) and n > 0 else DYNAMIC for n in dimensions)
