"""Triton kernels in tests: which device runs them here, and compiling them for a GPU that is not here.

On a CPU a kernel runs in Triton's interpreter, which must be chosen before Triton is imported. So the tests that ask
for the fixture `kernel_device` are collected twice: in an ordinary run for a GPU (`-m gpu`), and in the child process
that `tests/stages/test_kernels.py` starts with ``TRITON_INTERPRET=1`` for the CPU (`-m interpreter`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.require import skip_without

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
GPU = pytest.param("cuda", marks=pytest.mark.gpu)
KERNEL_DEVICES = [pytest.param("cpu", marks=pytest.mark.interpreter)] if INTERPRETED else [GPU]
TENSOR_DEVICES = ["cpu", GPU]


def torch_device(name: str) -> Any:
    """The device, if it is here."""
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        skip_without("gpu", lacking="an NVIDIA GPU")
    return torch.device(name)


def compiled_size(kernel: Any, *, pointers: dict[str, str], constants: dict[str, Any], warps: int = 4) -> int:
    """Bytes of machine code that the kernel has when it is compiled for an H100; its other arguments are int32."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    signature = {
        p.name: "constexpr" if p.name in constants else f"*{pointers[p.name]}" if p.name in pointers else "i32"
        for p in kernel.params
    }
    source = ASTSource(kernel, signature=signature, constexprs=constants)
    options = {"num_warps": warps, "enable_fp_fusion": False}
    return len(triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["cubin"])


def without_waiting(work: Callable[[], Any]) -> Any:
    """What work gives, once it has run warm; an error where it makes the host wait for the GPU."""
    import torch

    work()  # compiles, and copies its constants to the device
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        return work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
