"""A network of a few thousand weights that has some life: its norms have seen pictures, and it finds things."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch

from pipeline.messages import Classes
from stages.models.exporting.export import Trained
from stages.models.exporting.folding import norm_pairs
from stages.models.exporting.frames import Frames
from stages.models.nano.network import Nano, NanoConfig

WIDTH, HEIGHT = 96, 64
SMALL = NanoConfig(widths=(8, 8, 16, 16, 16), depths=(1, 1, 1, 1), pyramid=16, mask_width=16, coefficients=8)
CLASSES = Classes(("person", "bicycle", "car", "bus", "truck"), ("road", "pavement", "building", "sky", "vegetation"))


def lively(config: NanoConfig = SMALL, *, seed: int = 3) -> Nano:
    """Its scales are not 1, no two biases are equal (equal ones would be stored once), and scores reach past 0.3."""
    torch.manual_seed(seed)
    network = Nano(config).train()
    for _ in range(3):
        network(torch.rand(4, 3, HEIGHT, WIDTH) * 255)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d) and module.bias is not None:
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    for pair in norm_pairs(network):
        torch.nn.init.uniform_(pair.norm.weight, 0.3, 3.0)
        torch.nn.init.uniform_(pair.norm.bias, -0.5, 0.5)
    with torch.no_grad():
        for head in network.heads:
            classify = cast(torch.nn.Sequential, head.classify)  # type: ignore[union-attr]
            cast(torch.nn.Conv2d, classify[1]).weight.mul_(20.0)
    return network.eval()


def trained() -> Trained:
    return Trained(network=lively(), classes=CLASSES, training="three passes over noise")


def pictures(count: int, *, seed: int = 1) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, 1, HEIGHT, WIDTH, 3), dtype=np.uint8))


def frames(*, checked: int = 3, calibration: int = 0) -> Frames:
    return Frames(checked=pictures(checked), calibration=pictures(calibration, seed=2), told="noise", real=False)
