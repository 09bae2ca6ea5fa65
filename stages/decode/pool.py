"""Pictures of one source in a device's memory, in the places of the slots of its ring."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pipeline.messages import DeviceSurface, Surface
from stages.models.torch_buckets import translated

_Shape = tuple[tuple[int, ...], ...]


class TorchPool:
    """Tensors that are used again, made anew only where a picture has another shape.

    A decoder's surface is copied on a stream of the pool's own: decoders have few surfaces, and a frame that waits for
    its batch would hold one back.
    """

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._held: dict[int, tuple[_Shape, tuple[Tensor, ...]]] = {}
        self._stream: Any = None
        if self._device.type == "cuda":
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]

    def write(self, index: int, surface: Surface) -> tuple[DeviceSurface, Any]:
        """Copy a picture there: where it is now, and the CUDA event after which `surface` was read, None for at once.

        Nobody may be reading what was in that place before. Raises `ModelError`, `torch.OutOfMemoryError` where that
        fails, `DeviceLost` where the device did.
        """
        shape = tuple(tuple(plane.shape) for plane in surface.planes)
        with translated(f"pictures on {self._device}"):
            known, planes = self._held.get(index, ((), ()))
            if known != shape:
                planes = tuple(torch.empty(one, dtype=torch.uint8, device=self._device) for one in shape)
                self._held[index] = shape, planes
            done = self._copied(surface, planes)
        there = DeviceSurface(
            surface.format,
            planes,
            matrix=surface.matrix,
            range=surface.range,
            device=str(self._device),
            ready=done,
        )
        return there, done

    def _copied(self, surface: Surface, planes: tuple[Tensor, ...]) -> Any:
        if self._stream is None:
            for target, plane in zip(planes, surface.planes, strict=True):
                target.copy_(_tensor(plane))
            return None
        with torch.cuda.stream(self._stream):
            ready = surface.ready if isinstance(surface, DeviceSurface) else None
            if ready is not None:
                self._stream.wait_event(ready)
            for target, plane in zip(planes, surface.planes, strict=True):
                target.copy_(_tensor(plane), non_blocking=True)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(self._stream)
        return done


def _tensor(plane: Any) -> Tensor:
    return plane if isinstance(plane, Tensor) else torch.from_numpy(plane.copy())
