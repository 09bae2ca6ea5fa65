"""What computes an operation on tensors: plain torch, which runs everywhere, or a Triton kernel."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Literal, get_args

import torch

Implementation = Literal["auto", "torch", "triton"]


def uses_triton(implementation: Implementation, device: torch.device) -> bool:
    """Whether a Triton kernel is to run: `auto` takes it on an NVIDIA or AMD GPU where Triton is installed.

    `triton` on a CPU works in Triton's interpreter (``TRITON_INTERPRET=1`` before it is imported).

    Raises:
        ValueError: for an unknown one.
    """
    if implementation not in get_args(Implementation):
        raise ValueError(
            f"implementation is {implementation!r}; one of {', '.join(get_args(Implementation))} is needed"
        )
    return implementation == "triton" or (implementation == "auto" and device.type == "cuda" and _installed())


@cache
def _installed() -> bool:
    return find_spec("triton") is not None
