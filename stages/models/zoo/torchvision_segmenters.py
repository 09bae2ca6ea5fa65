"""torchvision's semantic networks, at the scale their head has; theirs is enlarged to the picture's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from stages.models.backend import Normalisation
from stages.models.preprocess import InputSpec
from stages.models.zoo.model import TorchModel
from stages.models.zoo.torchvision_models import load

IMAGENET = Normalisation((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
SIZE = (928, 520)  # their weights were measured at 520 rows; 16:9 is what cameras give

# What `--segmenter torchvision:NAME` may name.
SEGMENTERS: tuple[str, ...] = (
    "fcn_resnet50",
    "fcn_resnet101",
    "deeplabv3_resnet50",
    "deeplabv3_resnet101",
    "deeplabv3_mobilenet_v3_large",
    "lraspp_mobilenet_v3_large",
)


class Semantic(nn.Module):
    """FCN, DeepLabV3, LR-ASPP without their last step."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.backbone, self.classifier = network.backbone, network.classifier
        self.takes_all = not isinstance(network.classifier, nn.Sequential)  # LR-ASPP's head takes two maps

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """``logits`` [N, S, h, w]."""
        features = self.backbone(pictures)
        return {"logits": self.classifier(features if self.takes_all else features["out"])}


def torchvision_segmenter(
    name: str,
    *,
    weights: str | None,
    sha256: str | None,
    offline: bool,
    class_names: Sequence[str] | None,
    size: tuple[int, int] | None,
) -> TorchModel:
    """A semantic network of torchvision; `size` is the width and height of its picture. Raises `ModelError`."""
    loaded = load(name, weights=weights, sha256=sha256, offline=offline, class_names=class_names, background=False)
    width, height = size or SIZE
    return TorchModel(
        name=name,
        version=loaded.version,
        module=Semantic(loaded.network),
        picture=InputSpec(width=width, height=height, colours="rgb", fit="stretch", normalise=IMAGENET),
        names=tuple("background" if one == "__background__" else one for one in loaded.names),
        gives="semantic",
    )
