"""Blocks of layers that backbone and pyramid share."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


class ConvNorm(nn.Sequential):
    """Convolution, batch norm, ReLU: three layers that every runtime folds into one."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs, momentum=0.03),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """Two 3x3 convolutions and the input added back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(ConvNorm(width, width), ConvNorm(width, width))

    def forward(self, features: Tensor) -> Tensor:
        return features + cast(Tensor, self.layers(features))


class CrossStage(nn.Module):
    """Half of the channels go through residual blocks, the other half around them."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.around = ConvNorm(width, width // 2, 1)
        self.through = nn.Sequential(ConvNorm(width, width // 2, 1), *(Residual(width // 2) for _ in range(depth)))
        self.fuse = ConvNorm(width // 2 * 2, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        return cast(Tensor, self.fuse(torch.cat([self.through(features), self.around(features)], 1)))
