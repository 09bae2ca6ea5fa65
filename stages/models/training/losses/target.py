"""Ground truth of one picture, as the losses take it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
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

    def to(self, device: torch.device) -> Target:
        """The same on a device."""
        known = None if self.known is None else self.known.to(device, non_blocking=True)
        boxes, labels, ignored, instances, semantic = (
            tensor.to(device, non_blocking=True)
            for tensor in (self.boxes, self.labels, self.ignored, self.instances, self.semantic)
        )
        return Target(boxes, labels, ignored, instances, semantic, known)
