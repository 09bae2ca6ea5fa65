"""Where batches wait on their way to a device and back: a few sets of pinned buffers, taken in turn.

With two or more, the device works on one batch while another is copied out of, and nothing is allocated for a frame.
"""

from __future__ import annotations

import queue
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.messages import Float32
from stages.models.backend import Pictures

Shapes = dict[str, tuple[int, ...]]


class Slot:
    """Buffers for one batch. On the CPU they are the network's own: what it returns is taken as it is."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pinned: dict[str, Tensor] = {}
        self._done: Any = None
        if device.type == "cuda":
            self._done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        self._outputs: dict[str, Tensor] = {}

    def upload(self, pictures: Pictures, bucket: int) -> Tensor:
        """The pictures [N, ...] on the device, padded to `bucket` with what was there; asynchronous on a GPU."""
        given = torch.from_numpy(pictures)
        held = self._buffer("in", (bucket, *given.shape[1:]), given.dtype)
        held[: len(given)].copy_(given)
        return held.to(self._device, non_blocking=True)  # on the CPU, itself

    def download(self, outputs: dict[str, Tensor], count: int) -> None:
        """Start copying the first `count` rows of each output to the host, on the current stream."""
        if self._done is None:
            self._outputs = {name: output[:count] for name, output in outputs.items()}
            return
        self._outputs = {}
        for name, output in outputs.items():
            held = self._buffer(name, tuple(output.shape), output.dtype)[:count]
            self._outputs[name] = held.copy_(output[:count], non_blocking=True)
        self._done.record()

    def take(self) -> dict[str, Float32]:
        """The outputs, once they have come: arrays of the caller's own."""
        if self._done is not None:
            self._done.synchronize()
        taken = {name: np.array(output.numpy(), dtype=np.float32) for name, output in self._outputs.items()}
        self._outputs = {}
        return taken

    def staging(self, nbytes: int) -> Tensor:
        """uint8 [nbytes] on the host, pinned where a GPU copies from it; what was in it may still be there."""
        return self._buffer("staging", (nbytes,), torch.uint8)

    def fetch(self, packed: Tensor) -> None:
        """Start copying int32 [n] to the host, on the current stream."""
        if self._done is None:
            self._outputs = {"packed": packed}
            return
        held = self._buffer("packed", tuple(packed.shape), packed.dtype)
        self._outputs = {"packed": held.copy_(packed, non_blocking=True)}
        self._done.record()

    def fetched(self) -> npt.NDArray[np.int32]:
        """What `fetch` was given, once it has come: the caller's own."""
        if self._done is not None:
            self._done.synchronize()
        taken: npt.NDArray[np.int32] = self._outputs.pop("packed").numpy().copy()
        return taken

    def _buffer(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A buffer of at least `shape[0]` rows, made anew only where it is too small; its first `shape[0]` rows."""
        held = self._pinned.get(name)
        if held is None or held.shape[1:] != shape[1:] or held.dtype != dtype or len(held) < shape[0]:
            held = self._pinned[name] = torch.zeros(shape, dtype=dtype, pin_memory=self._done is not None)
        return held[: shape[0]]


class Slots:
    """A fixed number of slots, lent to one caller at a time."""

    def __init__(self, count: int, device: torch.device) -> None:
        self._free: queue.Queue[Slot] = queue.Queue(maxsize=count)
        for _ in range(count):
            self._free.put_nowait(Slot(device))

    def take(self) -> Slot:
        """A slot, once one is free; whoever takes it gives it back."""
        return self._free.get()

    def give_back(self, slot: Slot) -> None:
        """It is free again."""
        self._free.put_nowait(slot)
