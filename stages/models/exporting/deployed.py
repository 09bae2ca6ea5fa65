"""The network as a user of it wants it: scores instead of logits, outputs in a fixed order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.errors import ModelError
from pipeline.messages import Float32
from stages.models.nano.network import STRIDES, Nano, NanoOutput

INPUT_NAME = "images"
OUTPUT_NAMES = ("boxes", "scores", "coefficients", "prototypes", "semantic")
# Larger than the pictures it was trained on (512x288): small things gain more than large ones lose (AP50 +0.025).
INPUT_WIDTH, INPUT_HEIGHT = 640, 352
LARGEST_SIDE = 4096
_FEWEST_CELLS = 2  # a side, where its length is left open: torch takes a dimension of one for a constant


class Deployed(nn.Module):
    """RGB 0..255 [N, 3, H, W] -> what stands in `OUTPUT_NAMES`, in that order."""

    def __init__(self, network: Nano, *, offsets: Sequence[float] | None = None) -> None:
        """`offsets`: what is added to each class's logits; None: nothing."""
        super().__init__()
        self.network = network
        self.register_buffer("offsets", torch.tensor(offsets or [0.0] * network.config.things))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        output = cast(NanoOutput, self.network(images))
        scores = (output.class_logits + cast(Tensor, self.offsets)).sigmoid()
        return output.boxes, scores, output.coefficients, output.prototypes, output.semantic


def outputs_of(deployed: nn.Module, pictures: Float32) -> dict[str, Float32]:
    """What torch gives for pictures [N, 3, H, W], by name."""
    with torch.no_grad():
        given = deployed(torch.from_numpy(pictures))
    return {name: np.asarray(output.numpy(), np.float32) for name, output in zip(OUTPUT_NAMES, given, strict=True)}


def open_dimensions(*, any_size: bool) -> dict[int, Any]:
    """What an export leaves open of [N, 3, H, W]: how many pictures there are, and for `any_size` how large."""
    dimensions: dict[int, Any] = {0: torch.export.Dim("batch")}
    if any_size:
        coarsest = STRIDES[-1]
        for axis, name in ((2, "rows"), (3, "columns")):
            cells = torch.export.Dim(name, min=_FEWEST_CELLS, max=LARGEST_SIDE // coarsest)
            dimensions[axis] = coarsest * cells
    return dimensions


def check_size(width: int, height: int, *, any_size: bool = False) -> None:
    """Refuse a picture that the network cannot take, or that files of any size cannot be made with.

    Raises `ModelError`.
    """
    coarsest = STRIDES[-1]
    least = coarsest * _FEWEST_CELLS if any_size else coarsest
    if not all(least <= side <= LARGEST_SIDE and side % coarsest == 0 for side in (width, height)):
        raise ModelError(
            f"pictures of {width}x{height}; both sides must be multiples of {coarsest}, {least} to {LARGEST_SIDE}"
        )
