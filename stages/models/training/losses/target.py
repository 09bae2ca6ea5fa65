"""Ground truth of one picture, as the losses take it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

VOID = 255


@dataclass(frozen=True, slots=True)
class Target:
    """Ground truth of one picture. G = objects, h = H / 4, w = W / 4."""

    boxes: Tensor  # [G, 4] xyxy float32, input pixels
    labels: Tensor  # [G] int64
    ignored: Tensor  # [I, 4] boxes in which no score is right or wrong
    instances: Tensor  # [h, w] uint8: 0 none, 1 + index into boxes; an object without a cell here has no known mask
    semantic: Tensor  # [h, w] uint8: class, 255 void
    known: Tensor | None = None  # [things] bool, classes of which every object has a box here; None: all
