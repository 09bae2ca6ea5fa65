"""Batch normalisation folded into the convolution before it: the same numbers, and a pass over memory less each.

With running statistics a normalisation is a factor and an offset for each channel, and a convolution has both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

# How networks of transformers and torchvision call a convolution and what normalises its output, and nothing between.
_PAIRS = (
    ("convolution", "normalization"),
    ("conv", "norm"),
    ("conv1", "bn1"),
    ("conv2", "bn2"),
    ("conv3", "bn3"),
)
_EPSILON = 1e-5  # of those that do not say


def fold_normalisations(network: nn.Module) -> int:
    """Fold what can be; how many were. The network must be for inference, and is changed."""
    folded, shared = 0, shared_modules(network)
    for holder in list(network.modules()):
        for first, second in _pairs_of(holder):
            convolution, normalisation = getattr(holder, first), getattr(holder, second)
            if type(convolution) is not nn.Conv2d or convolution in shared:
                continue
            if _is_batch_norm(normalisation, convolution.out_channels):
                _fold(convolution, normalisation)
                setattr(holder, second, nn.Identity())
                folded += 1
    return folded


def shared_modules(network: nn.Module) -> set[nn.Module]:
    """Those with weights that stand in several places: changed in one, they would be in all."""
    counted = Counter(module for _, module in network.named_modules(remove_duplicate=False))
    return {module for module, times in counted.items() if times > 1 and next(module.parameters(), None) is not None}


def _pairs_of(holder: nn.Module) -> Iterator[tuple[str, str]]:
    children = holder._modules  # the same module may be among them twice
    if isinstance(holder, nn.Sequential):
        yield from pairwise(children)
        return
    yield from ((first, second) for first, second in _PAIRS if first in children and second in children)


def _is_batch_norm(module: nn.Module, channels: int) -> bool:
    named = (getattr(module, name, None) for name in ("weight", "bias", "running_mean", "running_var"))
    # A class derived from it may do more, such as an activation.
    is_one = type(module) is nn.BatchNorm2d or type(module).__name__.endswith("FrozenBatchNorm2d")
    return is_one and all(isinstance(values, Tensor) and values.shape == (channels,) for values in named)


@torch.no_grad()
def _fold(convolution: nn.Conv2d, normalisation: nn.Module) -> None:
    values = normalisation.state_dict()
    mean, variance, weight, bias = (values[name].double() for name in ("running_mean", "running_var", "weight", "bias"))
    scale = weight * (variance + getattr(normalisation, "eps", _EPSILON)).rsqrt()
    before = torch.zeros_like(mean) if convolution.bias is None else convolution.bias.double()
    kernel = convolution.weight
    convolution.weight = nn.Parameter((kernel.double() * scale.view(-1, 1, 1, 1)).to(kernel.dtype), requires_grad=False)
    convolution.bias = nn.Parameter(((before - mean) * scale + bias).to(kernel.dtype), requires_grad=False)
