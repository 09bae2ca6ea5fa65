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
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.errors import DeviceLost, ModelError
from pipeline.messages import Float32
from stages.models import backend as backends
from stages.models.backend import DYNAMIC, Normalisation, Pictures, Port, Precision, Signature
from stages.models.buckets import bucket_for, buckets_up_to, parts
from stages.models.devices import Device
from stages.models.torch_runner import Execution, NotCapturable, Prepared, Runner, make_runner
from stages.models.torch_slots import Slot, Slots

DTYPES: dict[str, torch.dtype] = {"f32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_STICKY = ("CUDA error", "cuDNN error", "CUBLAS_STATUS", "device-side assert")


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
        how = self._execution(execution)
        if not self._device.is_cuda:
            torch.set_num_threads(max((threads or len(os.sched_getaffinity(0))) // lanes, 1))
        prepared = Prepared(self._module, normalise, DTYPES[used])
        with _translated(self.name):
            prepared.to(self._device.name)
        return TorchBackend(
            prepared,
            self.signature,
            name=self.name,
            device=self._device,
            execution=how,
            may_fall_back=execution == "auto",
            largest=largest,
            slots=lanes + 1,
            compiler=compiler,
            precision=used,
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
        module: Prepared,
        signature: Signature,
        *,
        name: str,
        device: Device,
        execution: Execution,
        may_fall_back: bool,
        largest: int,
        slots: int,
        compiler: str,
        precision: str,
    ) -> None:
        self._module: Prepared | None = module
        self._name = name
        self._device = torch.device(device.name)
        self._execution: Execution = execution
        self._may_fall_back = may_fall_back
        self._precision = precision
        self._compiler = compiler
        self._buckets = buckets_up_to(largest)
        self._runners: dict[int, Runner] = {}
        self._stream: Any = torch.cuda.Stream(self._device) if device.is_cuda else None  # type: ignore[no-untyped-call]
        self._slots = Slots(slots, self._device)
        # A GPU's work is queued by one thread at a time; on the CPU the threads compute side by side.
        self._launching: AbstractContextManager[Any] = threading.Lock() if device.is_cuda else nullcontext()
        self._making = threading.Lock()
        self._out_of_memory = 0
        self._complaints: list[str] = []
        height, width = signature.input_size
        self.input_shape = (DYNAMIC, height, width, 3) if module.takes_levels else (DYNAMIC, 3, height, width)
        self.outputs = {port.name: port.shape for port in signature.outputs}
        backends.register(self)

    @property
    def largest(self) -> int:
        """Most pictures that go through the network at once."""
        return self._buckets[-1]

    @property
    def note(self) -> str:
        """What runs the network and how."""
        return f"torch {self._precision} on {self._device}, {self._execution}, up to {self.largest} at once"

    def statistics(self) -> dict[str, int]:
        """The largest batch now, and how often the device ran out of memory."""
        return {"largest": self.largest, "out_of_memory": self._out_of_memory}

    def complaints(self) -> list[str]:
        """What people should be told since the last call."""
        told, self._complaints = self._complaints, []
        return told

    def warm_up(self, tell: Callable[[str], None] = _silent) -> None:
        """Make every bucket ready, the smallest first, telling of each. Raises `ModelError`, `DeviceLost`."""
        steps = self._buckets
        if self._execution == "eager":  # nothing is made for a size; a GPU's libraries choose for the largest
            steps = (self.largest,) if self._stream is not None else (1,)
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
                with _translated(self._name):
                    return slot.take()
            finally:
                self._slots.give_back(slot)
        if len(inputs) == 0:
            return {name: np.zeros((0, *shape[1:]), dtype=np.float32) for name, shape in self.outputs.items()}
        found = [self(inputs[part]) for part in parts(len(inputs), self.largest)]
        return {name: np.concatenate([one[name] for one in found]) for name in self.outputs}

    def run(self, pictures: Tensor) -> dict[str, Tensor]:
        """A batch that is on the device already, [N, ...] as `input_shape` has it; outputs stay there.

        The work is queued on the backend's stream, after what the current stream has queued so far, and the current
        stream waits for it by an event: nothing here waits on the host. The outputs hold until the next call.

        Raises:
            ModelError: when the batch is larger than `largest`, the network fails or the backend is closed.
            DeviceLost: when the device failed for good.
        """
        count = len(pictures)
        if not 0 < count <= self.largest:
            raise ModelError(f"{self._name}: {count} pictures at once; 1 to {self.largest} are taken")
        bucket = self._bucket(count)
        with self._launching, torch.inference_mode(), _translated(self._name), self._on_stream() as callers:
            try:
                padded = pictures
                if count < bucket:
                    padded = pictures.new_zeros((bucket, *pictures.shape[1:]))
                    padded[:count] = pictures
                outputs = self._runner(bucket, padded)(padded)
            except torch.OutOfMemoryError as exc:
                self._give_up(bucket, exc)
                raise ModelError(f"{self._name}: {self._device} ran out of memory with a batch of {bucket}") from exc
            if callers is not None and self._execution != "graph":  # a graph's outputs are never freed meanwhile
                for output in outputs.values():
                    output.record_stream(callers)
        return {name: output[:count] for name, output in outputs.items()}

    def close(self) -> None:
        """Release the network. Calling it twice does no harm."""
        with self._launching:
            self._module = None
            self._runners.clear()
        backends.unregister(self)

    def _launch(self, slot: Slot, inputs: Pictures) -> bool:
        """Queue a batch; False where the device has too little memory for one so large."""
        bucket = self._bucket(len(inputs))
        with self._launching, torch.inference_mode(), _translated(self._name):
            try:
                with torch.cuda.stream(self._stream) if self._stream else nullcontext():
                    uploaded = slot.upload(np.ascontiguousarray(inputs), bucket)
                    slot.download(self._runner(bucket, uploaded)(uploaded), len(inputs))
            except torch.OutOfMemoryError as exc:
                self._give_up(bucket, exc)
                return False
        return True

    def _give_up(self, bucket: int, error: Exception) -> None:
        """The device has too little memory for this bucket: no batch is so large any more."""
        self._out_of_memory += 1
        smaller = tuple(size for size in self._buckets if size < bucket)
        for size in [size for size in self._runners if size >= bucket]:
            del self._runners[size]
        if self._stream is not None:
            torch.cuda.empty_cache()
        if not smaller:
            raise ModelError(f"{self._name}: {self._device} has too little memory for a single picture") from error
        self._buckets = smaller
        self._complaints.append(
            f"{self._name}: {self._device} ran out of memory with a batch of {bucket}; from here on {self.largest}"
        )

    def _bucket(self, count: int) -> int:
        """Rows that a batch of `count` is padded to: none where the network takes any number."""
        return count if self._execution == "eager" else bucket_for(count, self._buckets)

    def _runner(self, bucket: int, example: Tensor) -> Runner:
        module = self._module
        if module is None:
            raise ModelError("the network was closed and cannot be called any more")
        if self._execution == "eager":
            return module
        with self._making:
            runner = self._runners.get(bucket)
            if runner is None:
                runner = self._runners[bucket] = self._made(module, example)
        return runner

    def _made(self, module: Prepared, example: Tensor) -> Runner:
        try:
            return make_runner(module, self._execution, example, compiler=self._compiler)
        except NotCapturable as exc:
            if not self._may_fall_back:
                raise ModelError(f"{self._name}: execution 'graph' is not possible: {exc}") from exc
            self._execution = "eager"
            self._complaints.append(f"{self._name}: cannot be captured as a CUDA graph, and runs eagerly: {exc}")
            return module

    def _blank(self, count: int) -> Pictures:
        levels = self._module is not None and self._module.takes_levels
        return np.zeros((count, *self.input_shape[1:]), dtype=np.uint8 if levels else np.float32)

    @contextmanager
    def _on_stream(self) -> Iterator[Any]:
        """The backend's stream, after the current one, which goes on after it and is handed out; None on the CPU."""
        if self._stream is None:
            yield None
            return
        callers: Any = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(callers)
        with torch.cuda.stream(self._stream):
            yield callers
        callers.wait_stream(self._stream)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """torch's errors as ours; running out of memory passes, for who can take less."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as exc:
        lines = str(exc).splitlines()
        told = f"{name}: the network failed: {lines[0] if lines else type(exc).__name__}"
        if any(sign in str(exc) for sign in _STICKY):
            raise DeviceLost(f"{told}; CUDA does not recover from this, and the process must end") from exc
        raise ModelError(told) from exc
