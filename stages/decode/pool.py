"""Pictures of one source in a device's memory, in the places of the slots of its ring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.messages import DeviceSurface, Surface
from stages.models.cuda_streams import on_stream
from stages.models.letterbox import nv12_planes
from stages.models.torch_buckets import translated

_Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """A place, and the picture that is announced there each time."""

    key: _Key
    surface: DeviceSurface
    targets: tuple[Tensor, ...]  # what is copied to: the whole place, or its planes
    done: Any  # the event of the copy; None on a CPU


class TorchPool:
    """Tensors that are used again, made anew only where a picture has another shape.

    A decoder's surface is copied: decoders have few, and a frame that waits for its batch would hold one back. That is
    done on the stream that the decoder overwrites it on, or on one of the pool's own. All of it is a single copy and an
    event that was made before: each call to torch may cost a turn for the interpreter, and many threads want one.
    """

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._held: dict[int, _Held] = {}
        self._stream: Any = None  # made where a picture comes without one

    def write(self, index: int, surface: Surface) -> tuple[DeviceSurface, Any]:
        """Copy a picture there: where it is now, and the CUDA event after which `surface` was read.

        None where it was read at once, or is on the stream that its decoder overwrites it on. Nobody may be reading
        what was in that place before. Raises `ModelError`, `torch.OutOfMemoryError` where that fails, `DeviceLost`
        where the device did.
        """
        memory, own, ready = None, None, None
        if isinstance(surface, DeviceSurface):
            memory, own, ready = surface.memory, surface.stream, surface.ready
        parts = surface.planes if memory is None else (memory,)
        key = (*(part.shape for part in parts), surface.format, surface.matrix, surface.range)
        with translated(f"pictures on {self._device}"):
            held = self._held.get(index)
            if held is None or held.key != key:
                held = self._held[index] = self._made(surface, parts, key)
            stream = own or self._own_stream()
            with on_stream(stream):
                if ready is not None:
                    stream.wait_event(ready)
                for target, part in zip(held.targets, parts, strict=True):
                    target.copy_(_tensor(part), non_blocking=True)
                if stream is not None:
                    held.done.record(stream)
        return held.surface, None if own is not None else held.done

    def _own_stream(self) -> Any:
        if self._stream is None and self._device.type == "cuda":
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        return self._stream

    def _made(self, surface: Surface, parts: tuple[Any, ...], key: _Key) -> _Held:
        targets = tuple(torch.empty(tuple(part.shape), dtype=torch.uint8, device=self._device) for part in parts)
        planes = targets
        if len(parts) != len(surface.planes):
            planes = nv12_planes(targets[0], width=surface.width, height=surface.height, luma_rows=surface.height)
        done: Any = torch.cuda.Event() if self._device.type == "cuda" else None  # type: ignore[no-untyped-call]
        there = DeviceSurface(
            surface.format, planes, matrix=surface.matrix, range=surface.range, device=str(self._device), ready=done
        )
        return _Held(key, there, targets, done)


def _tensor(plane: Any) -> Tensor:
    return plane if isinstance(plane, Tensor) else torch.from_numpy(plane.copy())
