"""Numbers that a network assigns to a tensor, or makes one of, are the same with `MadeOnce` as without."""

from __future__ import annotations

import torch
from torch import Tensor

from stages.models.constants import MadeOnce


def shapes() -> tuple[Tensor, Tensor]:
    """As detectors with several levels make them."""
    sizes = torch.tensor([[8, 6], [4, 3]], device="cpu")
    filled = torch.empty(2, 2, dtype=torch.long)
    for level, (height, width) in enumerate([(8, 6), (4, 3)]):
        filled[level, 0] = height
        filled[level][1] = width
    sizes[0] = 2.0
    filled[:, 1] = True
    filled[filled > 7] = -5
    return sizes, filled


def test_numbers_are_the_same_in_every_pass() -> None:
    wanted = shapes()
    with MadeOnce():
        passes = [shapes(), shapes()]
    for given in passes:
        for ours, plain in zip(given, wanted, strict=True):
            assert ours.dtype == plain.dtype
            assert torch.equal(ours, plain)
