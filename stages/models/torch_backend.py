"""Networks on torch, on the CPU or a CUDA device: `TorchNetwork` is a module, `TorchBackend` runs it in batches.

A batch is padded to one of a few buckets, for which the network was compiled or captured while it warmed up. On a GPU
each backend has a stream of its own, so that two networks overlap, and what comes back goes through pinned buffers.

When the device runs out of memory, the largest bucket is given up and the batch goes in two; where a single picture is
too much, the batch fails. After an error that CUDA does not recover from, `DeviceLost` is raised: the process must end.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from pipeline.errors import ModelError
from pipeline.messages import Float32
from stages.models import backend as backends
from stages.models.backend import DYNAMIC, Normalisation, Pictures, Port, Precision, Signature
from stages.models.buckets import parts
from stages.models.cuda_streams import on_stream
from stages.models.devices import Device
from stages.models.torch_buckets import Buckets, translated
from stages.models.torch_runner import Execution, Prepared
from stages.models.torch_slots import Slot, Slots

if TYPE_CHECKING:
    from stages.models.device_backend import DeviceBackend
    from stages.models.preprocess import InputSpec

DTYPES: dict[str, torch.dtype] = {"f32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def _silent(_: str) -> None:
    pass


class TorchNetwork:
    """A module that takes [N, 3, H, W], normalised, and gives a dict of tensors [N, ...]."""

    def __init__(
        self,
        module: nn.Module,
        *,
        name: str,
        input_size: tuple[int, int],  # height, width
        device: Device,
        static: bool = True,
        usual_precision: str = "fp16",
    ) -> None:
        """`static`: shapes follow from the input's alone, so that it can be captured. `usual_precision`: on a GPU.

        Raises:
            ModelError: when the module fails on an empty picture.
        """
        self.name = name
        self._module = module.eval()
        self._size = input_size
        self._device = device
        self._static = static
        self._usual_precision = usual_precision
        with torch.inference_mode():
            try:
                self._module = self._module.to(device.name, torch.float32)
                outputs = self._module(torch.zeros(1, 3, *input_size, device=device.name))
            except (RuntimeError, ValueError, IndexError) as exc:
                size = f"{input_size[1]}x{input_size[0]}"
                raise ModelError(f"{name}: the network fails on a picture of {size}: {exc}") from exc
        self.signature = Signature(
            (Port("pictures", (DYNAMIC, 3, *input_size)),),
            tuple(Port(key, (DYNAMIC, *value.shape[1:])) for key, value in outputs.items()),
        )

    def compile(
        self,
        *,
        normalise: Normalisation | None = None,
        planar: Collection[int] = (),
        precision: Precision = "auto",
        threads: int = 0,
        lanes: int = 1,
        execution: Execution = "auto",
        largest: int = 1,
        compiler: str = "inductor",
    ) -> TorchBackend:
        """Make it run: batches of up to `largest` pictures. The module is this backend's from here on.

        Raises:
            ModelError: when the device cannot do it.
        """
        if planar:
            raise ModelError(f"{self.name}: torch networks give [N, C, H, W]; planar outputs are for ONNX graphs")
        used = self._precision(precision)
        if not self._device.is_cuda:
            torch.set_num_threads(max((threads or len(os.sched_getaffinity(0))) // lanes, 1))
        prepared = Prepared(self._module, normalise, DTYPES[used])
        return TorchBackend(
            self._buckets(prepared, execution, largest=largest, compiler=compiler),
            self.signature,
            takes_levels=prepared.takes_levels,
            name=self.name,
            device=self._device,
            slots=lanes + 1,
            precision=used,
        )

    def on_device(
        self,
        picture: InputSpec,
        *,
        precision: Precision = "auto",
        execution: Execution = "auto",
        largest: int = 1,
        compiler: str = "inductor",
    ) -> DeviceBackend:
        """Make it run on surfaces, up to `largest` at once, which it brings into the form of `picture` where they are.

        The module is this backend's from here on. Raises `ModelError` when the device cannot do it.
        """
        from stages.models.device_backend import DeviceBackend

        used = self._precision(precision)
        prepared = Prepared(self._module, None, DTYPES[used])
        return DeviceBackend(
            self._buckets(prepared, execution, largest=largest, compiler=compiler),
            picture,
            name=self.name,
            device=self._device,
            dtype=DTYPES[used],
            precision=used,
        )

    def _buckets(self, prepared: Prepared, execution: Execution, *, largest: int, compiler: str) -> Buckets:
        how = self._execution(execution)
        with translated(self.name):
            prepared.to(self._device.name)
            if self._device.is_cuda:
                torch.cuda.synchronize(self._device.name)  # it runs on a stream that would not wait for its weights
        return Buckets(
            prepared,
            name=self.name,
            device=torch.device(self._device.name),
            execution=how,
            may_fall_back=execution == "auto",
            largest=largest,
            compiler=compiler,
        )

    def _precision(self, asked: Precision) -> str:
        if asked != "auto":
            return asked
        return self._usual_precision if self._device.is_cuda else "f32"

    def _execution(self, asked: Execution) -> Execution:
        if asked == "graph" and not (self._device.is_cuda and self._static):
            lacking = "its shapes depend on what is in the picture" if self._device.is_cuda else "it runs on the CPU"
            raise ModelError(f"{self.name}: execution 'graph' is not possible, {lacking}; use eager or compile")
        if asked != "auto":
            return asked
        return "graph" if self._device.is_cuda and self._static else "eager"


class Pending:
    """A batch that is being worked on; `result` must be asked for once."""

    def __init__(self, backend: TorchBackend, inputs: Pictures, slot: Slot | None) -> None:
        self._backend, self._inputs, self._slot = backend, inputs, slot

    def result(self) -> dict[str, Float32]:
        """Outputs by name, float32 [N, ...]. Raises `ModelError`, `DeviceLost`."""
        return self._backend.finish(self._inputs, self._slot)


class TorchBackend:
    """A network that is ready to run, from any number of threads."""

    kind = "torch"
    input_name = "pictures"

    def __init__(
        self,
        buckets: Buckets,
        signature: Signature,
        *,
        takes_levels: bool,
        name: str,
        device: Device,
        slots: int,
        precision: str,
    ) -> None:
        """`takes_levels`: pictures are uint8 [N, H, W, 3], and normalised inside."""
        self._buckets = buckets
        self._name = name
        self._device = torch.device(device.name)
        self._precision = precision
        self._takes_levels = takes_levels
        self._stream: Any = torch.cuda.Stream(self._device) if device.is_cuda else None  # type: ignore[no-untyped-call]
        self._slots = Slots(slots, self._device)
        # A GPU's work is queued by one thread at a time; on the CPU the threads compute side by side.
        self._launching: AbstractContextManager[Any] = threading.Lock() if device.is_cuda else nullcontext()
        height, width = signature.input_size
        self.input_shape = (DYNAMIC, height, width, 3) if takes_levels else (DYNAMIC, 3, height, width)
        self.outputs = {port.name: port.shape for port in signature.outputs}
        backends.register(self)

    @property
    def largest(self) -> int:
        """Most pictures that go through the network at once."""
        return self._buckets.largest

    @property
    def note(self) -> str:
        """What runs the network and how."""
        return f"torch {self._precision} on {self._device}, {self._buckets.execution}, up to {self.largest} at once"

    def statistics(self) -> dict[str, int]:
        """The largest batch now, and how often the device ran out of memory."""
        return {"largest": self.largest, "out_of_memory": self._buckets.out_of_memory}

    def complaints(self) -> list[str]:
        """What people should be told since the last call."""
        return self._buckets.complaints()

    def warm_up(self, tell: Callable[[str], None] = _silent) -> None:
        """Make every bucket ready, the smallest first, telling of each. Raises `ModelError`, `DeviceLost`."""
        steps = self._buckets.to_warm_up()
        for i, bucket in enumerate(steps, 1):
            if bucket > self.largest:
                return  # given up meanwhile
            started = time.monotonic()
            self(self._blank(bucket))
            took = time.monotonic() - started
            tell(f"{self._name}: batches of {bucket} ready ({i} of {len(steps)}, {took:.1f} s)")

    def __call__(self, inputs: Pictures) -> dict[str, Float32]:
        """Outputs by name, float32 [N, ...]. Raises `ModelError`, `DeviceLost`."""
        return self.start(inputs).result()

    def view(self, inputs: Pictures) -> dict[str, Float32]:
        """As a call. Raises `ModelError`, `DeviceLost`."""
        return self(inputs)

    def start(self, inputs: Pictures) -> Pending:
        """Begin with a batch, and return while a GPU works on it.

        Raises:
            ModelError: when the pictures have the wrong shape, the network fails, or the backend is closed.
        """
        backends.check_pictures(inputs, self.input_shape)
        if not 0 < len(inputs) <= self.largest:
            return Pending(self, inputs, None)
        slot = self._slots.take()
        try:
            started = self._launch(slot, inputs)
        except BaseException:
            self._slots.give_back(slot)
            raise
        if not started:
            self._slots.give_back(slot)
        return Pending(self, inputs, slot if started else None)

    def finish(self, inputs: Pictures, slot: Slot | None) -> dict[str, Float32]:
        """What a started batch gave; one that could not be started goes in parts."""
        if slot is not None:
            try:
                with translated(self._name):
                    return slot.take()
            finally:
                self._slots.give_back(slot)
        if len(inputs) == 0:
            return {name: np.zeros((0, *shape[1:]), dtype=np.float32) for name, shape in self.outputs.items()}
        found = [self(inputs[part]) for part in parts(len(inputs), self.largest)]
        return {name: np.concatenate([one[name] for one in found]) for name in self.outputs}

    def close(self) -> None:
        """Release the network. Calling it twice does no harm."""
        with self._launching:
            self._buckets.close()
        backends.unregister(self)

    def _launch(self, slot: Slot, inputs: Pictures) -> bool:
        """Queue a batch; False where the device has too little memory for one so large."""
        bucket = self._buckets.size(len(inputs))
        try:
            with self._launching, torch.inference_mode(), translated(self._name), on_stream(self._stream):
                uploaded = slot.upload(np.ascontiguousarray(inputs), bucket)
                slot.download(self._buckets.runner(bucket, uploaded)(uploaded), len(inputs))
        except torch.OutOfMemoryError as exc:
            self._buckets.give_up(bucket, exc)
            return False
        return True

    def _blank(self, count: int) -> Pictures:
        return np.zeros((count, *self.input_shape[1:]), dtype=np.uint8 if self._takes_levels else np.float32)
