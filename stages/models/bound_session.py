"""A session of ONNX Runtime whose inputs and outputs stay on a device: bound to the memory of torch tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import DeviceLost, ModelError
from stages.models.backend import DYNAMIC

_TYPES: dict[str, tuple[torch.dtype, Any]] = {
    "tensor(float)": (torch.float32, np.float32),
    "tensor(float16)": (torch.float16, np.float16),
    "tensor(double)": (torch.float64, np.float64),
    "tensor(uint8)": (torch.uint8, np.uint8),
    "tensor(int32)": (torch.int32, np.int32),
    "tensor(int64)": (torch.int64, np.int64),
    "tensor(bool)": (torch.bool, np.bool_),
}
_NO_MEMORY = ("Failed to allocate memory", "out of memory")
_LOST = ("CUDA failure", "CUDA error", "CUDNN failure", "CUBLAS failure", "device-side assert")


class BoundSession:
    """Runs a graph of one input on device tensors; from one thread at a time, on the stream the session was made for.

    Outputs whose shape the graph states are written into tensors that were allocated once; others are allocated by
    ONNX Runtime and taken over through DLPack.
    """

    def __init__(
        self, session: Any, device: torch.device, *, name: str, shapes: Mapping[str, tuple[int, ...]] | None = None
    ) -> None:
        """`shapes`: of outputs by name, where more is known than the graph states.

        Raises:
            ModelError: for a graph with tensors of a type that is not taken.
        """
        self._session: Any = session
        self._binding = session.io_binding()
        self._device, self._name = device, name
        (given,) = session.get_inputs()
        self._input = given.name
        self.dtype, self._element = self._type_of(given)
        known = shapes or {}
        self._outputs = [
            (node.name, *self._type_of(node), known.get(node.name) or _shape(node.shape))
            for node in session.get_outputs()
        ]
        self._held: dict[tuple[str, int], Tensor] = {}

    def __call__(self, pictures: Tensor) -> dict[str, Tensor]:
        """Outputs by name, [N, ...] on the device, in the graph's own types; they hold until the next call.

        `pictures` are as the graph takes them, contiguous. ONNX Runtime returns when the device is done.

        Raises:
            torch.OutOfMemoryError: when the device has too little memory.
            DeviceLost: when the device failed for good.
            ModelError: when the network fails.
        """
        binding, kind, index = self._binding, self._device.type, self._device.index or 0
        binding.bind_input(self._input, kind, index, self._element, tuple(pictures.shape), pictures.data_ptr())
        binding.clear_binding_outputs()
        held = {}
        for name, dtype, element, shape in self._outputs:
            if DYNAMIC in shape[1:] or not shape:
                binding.bind_output(name, kind, index)
                continue
            buffer = held[name] = self._buffer(name, (len(pictures), *shape[1:]), dtype)
            binding.bind_output(name, kind, index, element, tuple(buffer.shape), buffer.data_ptr())
        self._run(list(pictures.shape))
        values = binding.get_outputs()
        return {
            name: held[name] if name in held else self._taken(values[i]) for i, (name, *_) in enumerate(self._outputs)
        }

    def close(self) -> None:
        """Release the session and its tensors."""
        self._session = self._binding = None
        self._held = {}

    def _run(self, shape: list[int]) -> None:
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as exc:  # its errors share no other base class
            lines = str(exc).strip().splitlines()
            told = f"{self._name}: the network failed on pictures of shape {shape}: {lines[0] if lines else exc!r}"
            if any(sign in str(exc) for sign in _NO_MEMORY):
                raise torch.OutOfMemoryError(told) from exc
            if any(sign in str(exc) for sign in _LOST):
                raise DeviceLost(f"{told}; CUDA does not recover from this, and the process must end") from exc
            raise ModelError(told) from exc

    def _buffer(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A tensor of its own for each size of batch: kernels may count on its alignment."""
        buffer = self._held.get((name, shape[0]))
        if buffer is None:
            buffer = self._held[name, shape[0]] = torch.empty(shape, dtype=dtype, device=self._device)
        return buffer

    def _taken(self, value: Any) -> Tensor:
        if hasattr(value, "__dlpack__"):
            return torch.utils.dlpack.from_dlpack(value)
        return torch.from_numpy(value.numpy()).to(self._device)  # a version that cannot share it

    def _type_of(self, node: Any) -> tuple[torch.dtype, Any]:
        if node.type not in _TYPES:
            known = ", ".join(_TYPES)
            raise ModelError(f"{self._name}: {node.name!r} is a {node.type}; on a GPU one of {known} is needed")
        return _TYPES[node.type]


def _shape(dimensions: list[Any]) -> tuple[int, ...]:
    return tuple(n if isinstance(n, int) and n > 0 else DYNAMIC for n in dimensions)
