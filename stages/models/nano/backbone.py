"""What turns a picture into features at strides 4, 8, 16 and 32: the project's own CSP stages, or ShuffleNetV2.

Sources: cross-stage partial blocks, Wang et al. 2019 (arXiv:1911.11929); ShuffleNetV2, Ma et al. 2018 (1807.11164),
which can start from published weights that were learnt on photographs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor, nn

from pipeline.errors import ModelError
from stages.models.nano.blocks import ConvNorm, CrossStage

BackboneName = Literal["csp", "shufflenet"]
SHUFFLENET_WIDTHS = (24, 32, 48, 96, 192)  # x0.5; the second is this project's own detail branch
_SHUFFLE_UNITS = (4, 8, 4)  # of stages 2, 3 and 4


class Backbone(nn.Module):
    """RGB 0..255 [N, 3, H, W] -> features at strides 4, 8, 16, 32, by convolutions in two halves of the channels."""

    def __init__(self, widths: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        self.stem = ConvNorm(3, widths[0], stride=2)
        self.stages = nn.ModuleList(
            nn.Sequential(ConvNorm(inputs, outputs, stride=2), CrossStage(outputs, depth))
            for inputs, outputs, depth in zip(widths[:-1], widths[1:], depths, strict=True)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        features = [self.stem((images - 114.0) * (1 / 64.0))]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features[1:]


class ShuffleUnit(nn.Module):
    """ShuffleNetV2's unit: every other channel passes by, the others go through three convolutions, then both joined.

    Taking every other channel shuffles what the unit before had joined. With stride 2 all channels go both ways.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.split = stride == 1
        half = outputs // 2
        taken = inputs // 2 if self.split else inputs
        last = ConvNorm(half, outputs - taken if self.split else half, 1)
        self.main = nn.Sequential(*ConvNorm(taken, half, 1), *_depthwise(half, stride), *last)
        self.around: nn.Module = nn.Identity()
        if not self.split:
            self.around = nn.Sequential(*_depthwise(inputs, stride), *ConvNorm(inputs, half, 1))

    def forward(self, features: Tensor) -> Tensor:
        if not self.split:
            return torch.cat([self.around(features), self.main(features)], 1)
        count, channels, height, width = features.shape
        pairs = features.reshape(count, channels // 2, 2, height, width)  # copied faster than strided slices
        return torch.cat([pairs[:, :, 0], self.main(pairs[:, :, 1])], 1)


def _depthwise(width: int, stride: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False), nn.BatchNorm2d(width, momentum=0.03)


class ShuffleBackbone(nn.Module):
    """RGB 0..255 [N, 3, H, W] -> features at strides 4, 8, 16, 32, by ShuffleNetV2 x0.5.

    Its own feature at stride 4 is a maximum over the stem; masks want more, so a convolution beside it gives theirs.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = SHUFFLENET_WIDTHS
        self.stem = ConvNorm(3, widths[0], stride=2)
        self.detail = ConvNorm(widths[0], widths[1], stride=2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.stages = nn.ModuleList(
            nn.Sequential(*(ShuffleUnit(outputs if k else inputs, outputs, stride=1 if k else 2) for k in range(units)))
            for inputs, outputs, units in zip((widths[0], *widths[2:-1]), widths[2:], _SHUFFLE_UNITS, strict=True)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        stem = self.stem(images * (1 / 255.0))
        features = [self.detail(stem)]
        inputs = self.pool(stem)
        for stage in self.stages:
            features.append(inputs := stage(inputs))
        return features

    def load_pretrained(self, path: Path) -> None:
        """Take weights learnt on photographs (BGR 0..1, as the published ones): a ``.pth`` file, all but a classifier.

        Raises:
            ModelError: when the file cannot be read, or holds another network's weights.
        """
        stored = _read_weights(path)
        own = self.state_dict()
        names = {name: _published(name) for name in own if not name.startswith("detail.")}
        if missing := sorted(theirs for theirs in names.values() if theirs not in stored):
            raise ModelError(f"{path}: no weights of ShuffleNetV2 x0.5: no {missing[0]} ({len(missing)} are missing)")
        for name, theirs in names.items():
            if stored[theirs].shape != own[name].shape:
                raise ModelError(
                    f"{path}: {theirs} has shape {tuple(stored[theirs].shape)}; "
                    f"ShuffleNetV2 x0.5 has {tuple(own[name].shape)}"
                )
        taken = {name: stored[theirs] for name, theirs in names.items()}
        taken["stem.0.weight"] = taken["stem.0.weight"].flip(1)  # blue, green, red -> red, green, blue
        self.load_state_dict(taken, strict=False)


def _published(name: str) -> str:
    """The name that published files of ShuffleNetV2 give to one of our weights: stages.0.1.main.0.weight and so on."""
    if name.startswith("stem."):
        return f"first_conv.{name.removeprefix('stem.')}"
    _, stage, unit, branch, rest = name.split(".", 4)
    return f"stage{int(stage) + 2}.{unit}.{'branch_main' if branch == 'main' else 'branch_proj'}.{rest}"


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except Exception as exc:
        raise ModelError(f"{path}: cannot be read as weights: {str(exc).splitlines()[0][:200]}") from exc
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ModelError(f"{path}: holds no table of weights")
    return cast("dict[str, Tensor]", found)
