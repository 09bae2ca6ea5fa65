"""Networks on OpenVINO's CPU plugin."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import ModelError
from pipeline.messages import Float32
from stages.models import backend as backends
from stages.models.backend import DYNAMIC, Normalisation, Pictures, PictureSize, Port, Precision, Signature
from stages.models.cache import cache_folder
from stages.models.focus import merge_focus
from stages.models.openvino_runtime import PrePostProcessor, core, native_bf16, ov
from stages.models.turned import Order, leave_turned

_PRECISIONS = {"f32": ov.Type.f32, "bf16": ov.Type.bf16}


class OpenVinoNetwork:
    """A graph read by OpenVINO."""

    def __init__(self, path: Path, size: PictureSize | None = None) -> None:
        self._path = path
        self._orders: dict[int, Order] = {}
        try:
            self._model = core().read_model(path)
        except (RuntimeError, ValueError) as exc:  # ValueError: a message that is no UTF-8
            raise backends.unreadable(path, exc) from exc
        self.signature = self._signature()
        if (shape := backends.sized_input(path, self.signature, size)) is not None and size is not None:
            try:
                self._model.reshape(ov.PartialShape([n if n else -1 for n in shape]))
            except (RuntimeError, ValueError) as exc:
                raise backends.unsuitable(path, size) from exc
            self.signature = self._signature()

    def _signature(self) -> Signature:
        return Signature(
            tuple(_port(node, f"input {i}") for i, node in enumerate(self._model.inputs)),
            tuple(_port(node, f"output {i}") for i, node in enumerate(self._model.outputs)),
        )

    def compile(
        self,
        *,
        normalise: Normalisation | None = None,
        planar: Collection[int] = (),
        precision: Precision = "auto",
        threads: int = 0,
        lanes: int = 1,
    ) -> OpenVinoBackend:
        """Make it run. Raises `ModelError` where OpenVINO refuses."""
        used = ("bf16" if native_bf16() else "f32") if precision == "auto" else precision
        if used not in _PRECISIONS:
            raise ModelError(f"precision {used!r} is not available on openvino; use f32 or bf16")
        try:
            self._orders |= leave_turned(self._model, frozenset(planar))
            model = self._prepared(normalise, planar)
            compiled = core().compile_model(model, "CPU", _settings(used, threads=threads, lanes=lanes))
        except (RuntimeError, ValueError) as exc:  # ValueError: a message that is no UTF-8
            raise backends.unreadable(self._path, exc) from exc
        return OpenVinoBackend(compiled, self.signature, note=_note(precision, used), orders=self._orders)

    def _prepared(self, normalise: Normalisation | None, planar: Collection[int]) -> ov.Model:
        """The graph at one picture, every output f32, with normalisation put before it."""
        model = self._model
        shape = model.input(0).get_partial_shape()
        if shape.rank.is_static and shape.rank.get_length() > 0 and shape[0].is_dynamic:
            shape[0] = 1
            model.reshape(shape)
        merge_focus(model)
        steps = PrePostProcessor(model)
        if normalise is not None:
            steps.input(0).tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
            steps.input(0).model().set_layout(ov.Layout("NHWC" if self.signature.channels_last else "NCHW"))
            steps.input(0).preprocess().convert_element_type(ov.Type.f32)
            if any(normalise.mean):
                steps.input(0).preprocess().mean(list(normalise.mean))
            if normalise.deviation != (1.0, 1.0, 1.0):
                steps.input(0).preprocess().scale(list(normalise.deviation))
        for i in range(len(model.outputs)):
            steps.output(i).tensor().set_element_type(ov.Type.f32)
            if i in planar:
                steps.output(i).model().set_layout(ov.Layout("NHWC"))
                steps.output(i).tensor().set_layout(ov.Layout("NCHW"))
        return steps.build()


class OpenVinoBackend:
    """A network compiled by OpenVINO; an infer request for each calling thread."""

    kind = "openvino"

    def __init__(
        self, compiled: ov.CompiledModel, signature: Signature, *, note: str, orders: Mapping[int, Order]
    ) -> None:
        self._compiled: ov.CompiledModel | None = compiled
        self._requests = threading.local()
        self._names = [port.name for port in signature.outputs]
        self._orders = [orders.get(i) for i in range(len(self._names))]
        self.note = note
        self.input_name = signature.inputs[0].name
        self.input_shape = _shape(compiled.inputs[0])
        shapes = zip(map(_shape, compiled.outputs), self._orders, strict=True)
        self.outputs = dict(zip(self._names, (_turned(shape, order) for shape, order in shapes), strict=True))
        backends.register(self)

    def __call__(self, inputs: Pictures) -> dict[str, Float32]:
        """Outputs by name, float32 [N, ...]. Raises `ModelError`."""
        backends.check_pictures(inputs, self.input_shape)
        if len(inputs) == 1:
            return {name: array.copy() for name, array in self.view(inputs).items()}
        parts = [
            {name: array.copy() for name, array in self.view(inputs[i : i + 1]).items()} for i in range(len(inputs))
        ]
        return {
            name: np.concatenate([part[name] for part in parts])
            if parts
            else np.zeros((0, *shape[1:]), dtype=np.float32)
            for name, shape in self.outputs.items()
        }

    def view(self, inputs: Pictures) -> dict[str, Float32]:
        """One picture's outputs, valid until this thread's next call, contiguous or not. Raises `ModelError`."""
        request = self._request()
        try:
            request.infer({0: inputs}, share_inputs=True, share_outputs=True)
        except RuntimeError as exc:
            raise ModelError(f"the network failed on a picture of shape {list(inputs.shape)}: {exc}") from exc
        arrays = (request.get_output_tensor(i).data for i in range(len(self._names)))
        return {
            name: array if order is None else array.transpose(order)
            for name, array, order in zip(self._names, arrays, self._orders, strict=True)
        }

    def close(self) -> None:
        """Release the network and every thread's request."""
        self._compiled = None
        self._requests = threading.local()
        backends.unregister(self)

    def _request(self) -> Any:
        request = getattr(self._requests, "request", None)
        if request is None:
            if self._compiled is None:
                raise ModelError("the network was closed and cannot be called any more")
            request = self._requests.request = self._compiled.create_infer_request()
        return request


def _turned(shape: tuple[int, ...], order: Order | None) -> tuple[int, ...]:
    return shape if order is None else tuple(shape[axis] for axis in order)


def _port(node: Any, fallback: str) -> Port:
    return Port(next(iter(sorted(node.get_names())), fallback), _shape(node))


def _shape(node: Any) -> tuple[int, ...]:
    shape = node.get_partial_shape()
    if shape.rank.is_dynamic:
        return ()
    return tuple(DYNAMIC if dimension.is_dynamic else dimension.get_length() for dimension in shape)


def _settings(precision: str, *, threads: int, lanes: int) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "NUM_STREAMS": lanes,
        "INFERENCE_NUM_THREADS": threads or (lanes if lanes > 1 else 0),
        "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
        # Pinned threads of two processes, or of inference and decoding, would queue for the same core.
        "ENABLE_CPU_PINNING": False,
    }
    folder = cache_folder("openvino")
    return settings if folder is None else {**settings, "CACHE_DIR": str(folder)}


def _note(asked: Precision, used: str) -> str:
    if asked != "auto":
        return f"OpenVINO {used}"
    why = "the processor has it" if used == "bf16" else "no bf16 in the processor"
    return f"OpenVINO {used} (auto: {why})"
