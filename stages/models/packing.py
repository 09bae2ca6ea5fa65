"""Several tensors as one, so that a batch comes to the host in one copy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """Tensors of float32 or whole numbers in one int32 [n] on their device, and how to take it apart on the host."""

    values: Tensor
    shapes: dict[str, tuple[bool, tuple[int, ...]]]  # whether it is of floats, and its shape

    def taken_apart(self, fetched: npt.NDArray[np.int32]) -> dict[str, npt.NDArray[Any]]:
        """float32 or int32 arrays by name, of a copy of `values`; they share its memory."""
        arrays, at = {}, 0
        for name, (is_float, shape) in self.shapes.items():
            size = math.prod(shape)
            array: npt.NDArray[Any] = fetched[at : at + size].reshape(shape)
            arrays[name] = array.view(np.float32) if is_float else array
            at += size
        return arrays


def packed(tensors: Mapping[str, Tensor]) -> Packed:
    """Floats as float32, whole numbers and truths as int32; nothing is waited for."""
    flat, shapes = [], {}
    for name, tensor in tensors.items():
        shapes[name] = (tensor.is_floating_point(), tuple(tensor.shape))
        column = tensor.float().view(torch.int32) if tensor.is_floating_point() else tensor.int()
        flat.append(column.reshape(-1))
    return Packed(torch.cat(flat), shapes)
