"""The layers of everyframe-nano: a backbone, a summing pyramid, an anchor-free head, prototypes and a semantic map.

Sources: path aggregation, Liu et al. 2018 (arXiv:1803.01534); centre-and-size decoding without anchors, Ge et al. 2021
(2107.08430); distributions of distances, Li et al. 2020 (2006.04388); prototype masks, Bolya et al. 2019 (1904.02689).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.models.nano.backbone import SHUFFLENET_WIDTHS, Backbone, BackboneName, ShuffleBackbone
from stages.models.nano.blocks import ConvNorm

STRIDES = (8, 16, 32)
MASK_STRIDE = 4
# exp(8) strides is wider than any picture; beyond it a wild early weight would give inf and then nan.
_LOG_SIZE_LIMIT = 8.0
_INITIAL_SCORE = 0.01
_INITIAL_SIZE_IN_STRIDES = 2.5
# Distances that are distributed start below 0, so that a cell just outside a tiny object can describe it too.
NEAREST_DISTANCE = -1.0
# How fast the first distribution falls from its top, at a distance of 1: its mean is then about half the initial size.
_INITIAL_FALL = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class NanoConfig:
    """Everything that decides the shape of the network.

    Attributes:
        things: number of countable classes, scored by the head.
        classes: number of classes of the semantic map (things first, then stuff).
        coefficients: prototypes, and mask coefficients a box.
        backbone: "csp", or "shufflenet", whose widths and depths are given.
        widths: channels at strides 2, 4, 8, 16, 32 (csp).
        depths: residual blocks at strides 4, 8, 16, 32 (csp).
        pyramid: channels of every pyramid level.
        mask_width: channels of the stride-4 feature under prototypes and semantic map.
        bins: 0: a box is a centre and a size. n: it is four distances from the cell, each the mean of a distribution
            over n + 1 whole numbers of strides from `NEAREST_DISTANCE` on; 2 or more.
    """

    things: int = 5
    classes: int = 10
    coefficients: int = 24
    backbone: BackboneName = "csp"
    widths: tuple[int, int, int, int, int] = (16, 32, 64, 128, 192)
    depths: tuple[int, int, int, int] = (1, 2, 2, 1)
    pyramid: int = 64
    mask_width: int = 40
    bins: int = 0

    def __post_init__(self) -> None:
        if self.bins < 0 or self.bins == 1:
            raise ValueError(f"bins is {self.bins}; it is 0, or 2 and more")

    @property
    def box_channels(self) -> int:
        """Numbers by which a cell tells its box."""
        return 4 * (self.bins + 1) if self.bins else 4


class NanoOutput(NamedTuple):
    """What one pass gives. A = sum of cells over the strides, h = H / 4, w = W / 4."""

    class_logits: Tensor  # [N, A, things]
    boxes: Tensor  # [N, A, 4] xyxy, input pixels
    coefficients: Tensor  # [N, A, K]
    prototypes: Tensor  # [N, K, h, w]
    semantic: Tensor  # [N, classes, h, w]
    distances: Tensor | None = None  # [N, A, 4, bins + 1] logits: left, top, right, bottom; None without bins


class PooledContext(nn.Module):
    """Three chained 5x5 max pools (5, 9 and 13 cells wide), so that the coarsest level sees the whole picture."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.reduce = ConvNorm(inputs, outputs, 1)
        self.fuse = ConvNorm(4 * outputs, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        pools = [self.reduce(features)]
        for _ in range(3):
            pools.append(F.max_pool2d(pools[-1], 5, 1, 2))
        return cast(Tensor, self.fuse(torch.cat(pools, 1)))


def upsample(features: Tensor) -> Tensor:
    """Twice as large, nearest."""
    return F.interpolate(features, scale_factor=2.0, mode="nearest")


class Pyramid(nn.Module):
    """Top-down, then bottom-up, levels summed rather than concatenated: half the work and no copy."""

    def __init__(self, widths: Sequence[int], width: int) -> None:
        super().__init__()
        self.context = PooledContext(widths[2], width)
        self.lateral16 = ConvNorm(widths[1], width, 1)
        self.lateral8 = ConvNorm(widths[0], width, 1)
        self.down16 = ConvNorm(width, width)
        self.down8 = ConvNorm(width, width)
        self.to16 = ConvNorm(width, width, stride=2)
        self.to32 = ConvNorm(width, width, stride=2)
        self.up16 = ConvNorm(width, width)
        self.up32 = ConvNorm(width, width)

    def forward(self, stride8: Tensor, stride16: Tensor, stride32: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        top32 = self.context(stride32)
        top16 = self.down16(self.lateral16(stride16) + upsample(top32))
        out8 = self.down8(self.lateral8(stride8) + upsample(top16))
        out16 = self.up16(top16 + self.to16(out8))
        out32 = self.up32(top32 + self.to32(out16))
        return out8, out16, out32


class Head(nn.Module):
    """One level's class logits, raw boxes and mask coefficients; own weights a level, because sizes differ a level."""

    def __init__(self, width: int, config: NanoConfig) -> None:
        super().__init__()
        self.split = config.box_channels
        self.classify = nn.Sequential(ConvNorm(width, width), nn.Conv2d(width, config.things, 1))
        self.locate = nn.Sequential(ConvNorm(width, width), nn.Conv2d(width, self.split + config.coefficients, 1))
        _start_rare(cast(nn.Conv2d, self.classify[1]))
        _start_medium(cast(nn.Conv2d, self.locate[1]), config)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits = self.classify(features).flatten(2).transpose(1, 2)  # [N, A_level, things]
        located = self.locate(features).flatten(2).transpose(1, 2)  # [N, A_level, box channels + K]
        return logits, located[..., : self.split], located[..., self.split :]


def _start_rare(layer: nn.Conv2d) -> None:
    """Begin with low scores everywhere, or the background would be the whole loss of the first hundred steps."""
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.constant_(cast(Tensor, layer.bias), -math.log(1 / _INITIAL_SCORE - 1))


def _start_medium(layer: nn.Conv2d, config: NanoConfig) -> None:
    """Begin with boxes a few cells wide around each cell, so that the first assignment finds overlap."""
    nn.init.normal_(layer.weight, std=0.01)
    bias = cast(Tensor, layer.bias)
    nn.init.zeros_(bias)
    with torch.no_grad():
        if config.bins:
            fall = -_INITIAL_FALL * (bin_distances(config.bins) - 1).abs()
            bias[: config.box_channels] = fall.repeat(4)
        else:
            bias[2:4] = math.log(_INITIAL_SIZE_IN_STRIDES)
    nn.init.normal_(layer.weight[config.box_channels :], std=0.1)


class MaskFeatures(nn.Module):
    """The finest pyramid level, brought to stride 4 and joined with the backbone's own stride-4 detail."""

    def __init__(self, detail: int, pyramid: int, width: int) -> None:
        super().__init__()
        self.detail = ConvNorm(detail, width, 1)
        self.meaning = ConvNorm(pyramid, width, 1)
        self.fuse = ConvNorm(width, width)

    def forward(self, stride4: Tensor, stride8: Tensor) -> Tensor:
        return cast(Tensor, self.fuse(self.detail(stride4) + upsample(self.meaning(stride8))))


class Nano(nn.Module):
    """RGB 0..255 [N, 3, H, W], H and W multiples of 32 -> `NanoOutput`."""

    def __init__(self, config: NanoConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NanoConfig()
        widths = config.widths if config.backbone == "csp" else SHUFFLENET_WIDTHS
        self.backbone = Backbone(widths, config.depths) if config.backbone == "csp" else ShuffleBackbone()
        self.pyramid = Pyramid(widths[2:], config.pyramid)
        self.heads = nn.ModuleList(Head(config.pyramid, config) for _ in STRIDES)
        self.mask_features = MaskFeatures(widths[1], config.pyramid, config.mask_width)
        self.prototypes = nn.Conv2d(config.mask_width, config.coefficients, 1)
        self.semantic = nn.Conv2d(config.mask_width, config.classes, 1)

    def forward(self, images: Tensor) -> NanoOutput:
        stride4, *levels = self.backbone(images)
        levels = self.pyramid(*levels)
        masks = self.mask_features(stride4, levels[0])
        logits, raw, coefficients = (
            torch.cat(parts, 1)
            for parts in zip(*(head(level) for head, level in zip(self.heads, levels, strict=True)), strict=True)
        )
        anchors = anchor_points(images.shape[2], images.shape[3], device=images.device)
        raw = raw.float()
        distances = raw.view(*raw.shape[:2], 4, self.config.bins + 1) if self.config.bins else None
        boxes = decode_boxes(raw, anchors) if distances is None else decode_distances(distances, anchors)
        return NanoOutput(logits, boxes, coefficients, self.prototypes(masks), self.semantic(masks), distances)


def anchor_points(height: int, width: int, *, device: torch.device | None = None) -> Tensor:
    """Centres and strides of all cells, finest level first, rows first: [A, 3] as x, y, stride in input pixels.

    Raises:
        ValueError: when a side is not a positive multiple of the coarsest stride.
    """
    if height <= 0 or width <= 0 or height % STRIDES[-1] or width % STRIDES[-1]:
        raise ValueError(f"picture of {width}x{height}; both sides must be positive multiples of {STRIDES[-1]}")
    levels = []
    for stride in STRIDES:
        ys, xs = torch.meshgrid(
            torch.arange(height // stride, device=device),
            torch.arange(width // stride, device=device),
            indexing="ij",
        )
        centres = (torch.stack([xs, ys], -1).reshape(-1, 2) + 0.5) * stride
        levels.append(torch.cat([centres, torch.full_like(centres[:, :1], stride)], 1))
    return torch.cat(levels)


def decode_boxes(raw: Tensor, anchors: Tensor) -> Tensor:
    """Offsets and log sizes in strides -> xyxy.

    Centre and size rather than distances to four sides: a cell just outside a tiny object can still describe it.

    Args:
        raw: [..., A, 4] dx, dy, log w, log h in strides of the cell.
        anchors: [A, 3] x, y, stride.
    """
    strides = anchors[:, 2:]  # [A, 1]
    centres = anchors[:, :2] + raw[..., :2] * strides
    halves = raw[..., 2:].clamp(max=_LOG_SIZE_LIMIT).exp() * (strides * 0.5)
    return torch.cat([centres - halves, centres + halves], -1)


def bin_distances(bins: int, *, device: torch.device | None = None) -> Tensor:
    """What the bins stand for: [bins + 1] strides."""
    return torch.arange(bins + 1, device=device) + NEAREST_DISTANCE


def decode_distances(logits: Tensor, anchors: Tensor) -> Tensor:
    """Distributed distances to the four sides -> xyxy, by the mean of each distribution.

    Args:
        logits: [..., A, 4, bins + 1] of left, top, right, bottom.
        anchors: [A, 3] x, y, stride.
    """
    values = bin_distances(logits.shape[-1] - 1, device=logits.device)
    distances = (logits.softmax(-1) * values).sum(-1) * anchors[:, 2:]  # [..., A, 4] pixels
    centres = anchors[:, :2]
    return torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], -1)
