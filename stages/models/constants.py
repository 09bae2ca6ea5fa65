"""Tensors that a network makes of numbers anew in each pass, such as the sizes of its levels: copied to a device once.

A CUDA graph may not copy from the host while it is captured, and outside of one each copy waits for the device. A
number that is assigned to a place of a tensor is such a copy too, unless it was made there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_MAKERS = (torch.tensor, torch.as_tensor)


class MadeOnce(TorchFunctionMode):
    """While it is entered, ``torch.tensor(numbers, device=...)`` gives a copy of what the first such call gave.

    ``tensor[place] = number`` takes the number from the tensor's device; where the place is a mask, torch fills it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[tuple[str, Any, str], Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.__setitem__ and isinstance(args[2], bool | int | float) and _is_plain(args[1]):
            return func(args[0], args[1], torch.full((), args[2], dtype=args[0].dtype, device=args[0].device))
        if func not in _MAKERS or kwargs.get("device") is None or not args or not _are_numbers(args[0]):
            return func(*args, **kwargs)
        key = (repr(args[0]), kwargs.get("dtype"), str(kwargs["device"]))
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = func(*args, **kwargs)
        return made.clone()  # the network may write to it


def _are_numbers(data: Any) -> bool:
    if isinstance(data, list | tuple):
        return all(map(_are_numbers, data))
    return isinstance(data, bool | int | float)


def _is_plain(place: Any) -> bool:
    """Whether an index is numbers and slices alone."""
    parts = place if isinstance(place, tuple) else (place,)
    return all(part is None or part is Ellipsis or isinstance(part, int | slice) for part in parts)
