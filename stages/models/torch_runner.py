"""How a torch module runs on a full bucket: eagerly, compiled, or as a captured CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from stages.models.backend import Normalisation
from stages.models.constants import MadeOnce

Execution = Literal["auto", "eager", "compile", "graph"]
Outputs = dict[str, Tensor]
Runner = Callable[[Tensor], Outputs]  # runs a bucket; the next call may overwrite what it returned
_SHORT = ("out of memory", "ALLOC_FAILED")  # as CUDA, cuDNN and cuBLAS word it where torch's allocator did not
WARM_UPS = 3  # passes before a capture, so that libraries have chosen their algorithms and allocated what they keep
COMPILED_SHAPES = 64  # a process may hold: buckets of every network, as their shared wrapper counts together


class NotCapturable(Exception):  # noqa: N818
    """A network does something that a CUDA graph cannot hold."""


class Prepared(nn.Module):
    """A network with what comes before and after it.

    Takes uint8 [N, H, W, 3], which is what channels-last memory is, and normalises it; or, without a normalisation,
    [N, 3, H, W] as the network has it. Gives float32 whatever the arithmetic.
    """

    def __init__(self, network: nn.Module, normalise: Normalisation | None, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network.eval().to(dtype).to(memory_format=torch.channels_last)
        self.dtype = dtype
        self.takes_levels = normalise is not None
        levels = normalise or Normalisation()
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor(levels.mean).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(levels.deviation).view(1, 3, 1, 1))

    def forward(self, pictures: Tensor) -> Outputs:
        """Outputs by name, float32 [N, ...]."""
        if self.takes_levels:
            pictures = (pictures.permute(0, 3, 1, 2).float() - self.mean) / self.deviation
        outputs: Outputs = self.network(pictures.to(self.dtype))
        return {name: output.float() for name, output in outputs.items()}


def make_runner(module: nn.Module, execution: Execution, example: Tensor, *, compiler: str = "inductor") -> Runner:
    """A runner for batches of the shape, type and device of `example`. `compiler` is a backend of `torch.compile`.

    Raises:
        NotCapturable: when a CUDA graph cannot be made of the module.
    """
    if execution == "compile":
        return _compiled(module, compiler)
    return _captured(module, example) if execution == "graph" else module


def is_short_of_memory(error: RuntimeError) -> bool:
    """Whether a device merely has too little memory, which it recovers from."""
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in _SHORT)


def _compiled(module: nn.Module, compiler: str) -> Runner:
    import torch._dynamo as dynamo

    settings: Any = dynamo.config
    settings.cache_size_limit = max(settings.cache_size_limit, COMPILED_SHAPES)
    return torch.compile(module, dynamic=False, backend=compiler)


def _captured(module: nn.Module, example: Tensor) -> Runner:
    """A CUDA graph with outputs of its own, captured on the current stream. Its input is `example` from here on.

    Pictures that lie there already are not copied once more.
    """
    stream = torch.cuda.current_stream(example.device)
    constants = MadeOnce()
    for _ in range(WARM_UPS):
        with constants:
            module(example)
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    try:
        # thread_local: other threads (decoders, the other network) may go on using CUDA meanwhile.
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"), constants:
            outputs: Outputs = module(example)
    except RuntimeError as exc:  # a copy from the host, a wait: what worked just now is not allowed in a capture
        if is_short_of_memory(exc):
            raise
        raise NotCapturable(str(exc).splitlines()[0]) from exc
    return _Captured(graph, example, outputs, constants)


@dataclass(frozen=True, slots=True, eq=False)
class _Captured:
    """A CUDA graph, and what it reads and writes in each replay: all of it must stay where it is."""

    graph: torch.cuda.CUDAGraph
    held: Tensor
    outputs: Outputs
    constants: MadeOnce

    def __call__(self, pictures: Tensor) -> Outputs:
        if pictures.data_ptr() != self.held.data_ptr():
            self.held.copy_(pictures, non_blocking=True)
        self.graph.replay()
        return self.outputs
