"""What runs a torch network at each size of batch: buckets, the runner of each, and one fewer when memory runs out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from pipeline.errors import DeviceLost, ModelError
from stages.models.buckets import bucket_for, buckets_up_to
from stages.models.torch_runner import (
    Execution,
    NotCapturable,
    Prepared,
    Runner,
    is_short_of_memory,
    make_runner,
)

_STICKY = ("CUDA error", "cuDNN error", "CUBLAS_STATUS", "device-side assert")


class Buckets:
    """A network's runners. Made from any thread, one at a time."""

    def __init__(
        self,
        module: Prepared,
        *,
        name: str,
        device: torch.device,
        execution: Execution,
        may_fall_back: bool,
        largest: int,
        compiler: str,
    ) -> None:
        """`may_fall_back`: a network that cannot be captured runs eagerly, and that is told."""
        self._module: Prepared | None = module
        self._name, self._device = name, device
        self.execution: Execution = execution
        self._may_fall_back = may_fall_back
        self._compiler = compiler
        self._sizes = buckets_up_to(largest)
        self._runners: dict[int, Runner] = {}
        self._making = threading.Lock()
        self._complaints: list[str] = []
        self.out_of_memory = 0  # how often the device ran out of it

    @property
    def largest(self) -> int:
        """Most pictures that go through the network at once."""
        return self._sizes[-1]

    def complaints(self) -> list[str]:
        """What people should be told since the last call."""
        told, self._complaints = self._complaints, []
        return told

    def to_warm_up(self) -> tuple[int, ...]:
        """Sizes that are slow the first time, in rising order."""
        if self.execution != "eager":
            return self._sizes
        # Nothing is made for a size; a GPU's libraries choose for the largest.
        return (self.largest,) if self._device.type == "cuda" else (1,)

    def size(self, count: int) -> int:
        """Rows that a batch of `count` is padded to: none where the network takes any number."""
        return count if self.execution == "eager" else bucket_for(count, self._sizes)

    def runner(self, size: int, example: Tensor) -> Runner:
        """What runs batches of a size, of the shape, type and device of `example`. Raises `ModelError`."""
        module = self._module
        if module is None:
            raise ModelError("the network was closed and cannot be called any more")
        if self.execution == "eager":
            return module
        with self._making:
            runner = self._runners.get(size)
            if runner is None:
                runner = self._runners[size] = self._made(module, example)
        return runner

    def give_up(self, size: int, error: Exception) -> None:
        """The device has too little memory for batches of a size: none is so large any more.

        Two batches may have run out of it together; the second changes nothing.

        Raises:
            ModelError: when there is no smaller one.
        """
        self.out_of_memory += 1
        for held in [held for held in self._runners if held >= size]:
            del self._runners[held]
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if size > self.largest:
            return
        smaller = tuple(held for held in self._sizes if held < size)
        if not smaller:
            raise ModelError(f"{self._name}: {self._device} has too little memory for a single picture") from error
        self._sizes = smaller
        self._complaints.append(
            f"{self._name}: {self._device} ran out of memory with a batch of {size}; from here on {self.largest}"
        )

    def close(self) -> None:
        """Release the network. Calling it twice does no harm."""
        self._module = None
        self._runners.clear()

    def _made(self, module: Prepared, example: Tensor) -> Runner:
        try:
            return make_runner(module, self.execution, example, compiler=self._compiler)
        except NotCapturable as exc:
            if not self._may_fall_back:
                raise ModelError(f"{self._name}: execution 'graph' is not possible: {exc}") from exc
            self.execution = "eager"
            self._complaints.append(f"{self._name}: cannot be captured as a CUDA graph, and runs eagerly: {exc}")
            return module


@contextmanager
def translated(name: str) -> Iterator[None]:
    """torch's errors as ours; running out of memory is `torch.OutOfMemoryError`, for who can take less."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as exc:
        if is_short_of_memory(exc):
            raise torch.OutOfMemoryError(str(exc)) from exc
        lines = str(exc).splitlines()
        told = f"{name}: the network failed: {lines[0] if lines else type(exc).__name__}"
        if any(sign in str(exc) for sign in _STICKY):
            raise DeviceLost(f"{told}; CUDA does not recover from this, and the process must end") from exc
        raise ModelError(told) from exc
