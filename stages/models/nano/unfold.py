"""An exported graph back as a network that can be trained: the inverse of folding the norms.

Folding multiplies a norm into the convolution before it and forgets what the norm had measured. Any scale a channel
gives the same network again, as long as the norm undoes it; what a training needs is that the norm's mean and variance
are those of real pictures, and that the weights are about as large as at a start, so that a learning rate means the
same. So the weights are brought to that size and the statistics measured anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from stages.models.nano.blocks import ConvNorm
from stages.models.nano.network import Nano, NanoConfig

# PyTorch's first weights are uniform with variance 1 / (3 fan-in): an output channel's weights then have this length.
_FIRST_LENGTH = math.sqrt(1 / 3)
_PREFIX = "network."
_HALVED = "_half"


def unfolded(model: Path, pictures: Iterable[Tensor], *, config: NanoConfig | None = None) -> Nano:
    """The network of an ONNX file written by `export`, ready to be trained on.

    Args:
        model: the ONNX file.
        pictures: batches of RGB 0..255 [N, 3, H, W] such as it will be trained on; a few hundred pictures do.
        config: shape of the network in the file.

    Raises:
        ValueError: when the file holds other weights than the network has, or there is no picture.
    """
    network = Nano(config).to(memory_format=torch.channels_last).eval()
    weights = _stored(model)
    norms = {name: module for name, module in network.named_modules() if isinstance(module, ConvNorm)}
    expected = {
        name for name in network.state_dict() if not any(name.startswith(f"{norm}.") for norm in norms)
    } | {f"{norm}.0.{part}" for norm in norms for part in ("weight", "bias")}  # fmt: skip
    if missing := sorted(expected - weights.keys()):
        raise ValueError(f"{model} holds no {missing[0]} ({len(missing)} weights are missing); give a file of `export`")
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name in weights:
                parameter.copy_(weights[name])
        for name, module in norms.items():
            _set_norm(module, weights[f"{name}.0.weight"], weights[f"{name}.0.bias"])
        _measure(network, pictures)
    return network


def _stored(model: Path) -> dict[str, Tensor]:
    """The weights in the file by their name in the network, float32."""
    found = {}
    for tensor in onnx.load(model).graph.initializer:
        if tensor.name.startswith(_PREFIX):
            values = np.array(numpy_helper.to_array(tensor), np.float32)
            found[tensor.name.removeprefix(_PREFIX).removesuffix(_HALVED)] = torch.from_numpy(values)
    return found


def _set_norm(module: ConvNorm, weight: Tensor, bias: Tensor) -> None:
    """Weights of the usual length, and a norm of mean 0 and variance 1 that undoes the change."""
    convolution, norm = cast(nn.Conv2d, module[0]), cast(nn.BatchNorm2d, module[1])
    length = weight.flatten(1).norm(dim=1)
    gain = torch.where(length > 0, _FIRST_LENGTH / length.clamp(min=1e-12), torch.ones_like(length))  # [outputs]
    convolution.weight.copy_(weight * gain[:, None, None, None])
    norm.weight.copy_(math.sqrt(1 + norm.eps) / gain)
    norm.bias.copy_(bias)


def _measure(network: Nano, pictures: Iterable[Tensor]) -> None:
    """Give every norm the mean and variance of its input over the pictures, its output staying as it was."""
    means: dict[nn.BatchNorm2d, list[Tensor]] = {}
    handles = [
        module.register_forward_pre_hook(lambda norm, inputs: means.setdefault(norm, []).append(_moments(inputs[0])))
        for module in network.modules()
        if isinstance(module, nn.BatchNorm2d)
    ]
    for batch in pictures:
        network(batch.float().contiguous(memory_format=torch.channels_last))
    for handle in handles:
        handle.remove()
    if not means:
        raise ValueError("no pictures to measure the norms on; give at least one batch")
    for norm, moments in means.items():
        mean, square = torch.stack(moments).mean(0)
        variance = (square - mean.square()).clamp(min=0)
        scale = norm.weight / math.sqrt(1 + norm.eps)  # what the norm multiplies by, as it stands
        cast(Tensor, norm.running_mean).copy_(mean)
        cast(Tensor, norm.running_var).copy_(variance)
        norm.bias.add_(scale * mean)
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())


def _moments(features: Tensor) -> Tensor:
    """Mean and mean square of each channel: [N, C, H, W] -> [2, C]."""
    return torch.stack([features.mean((0, 2, 3)), features.square().mean((0, 2, 3))])
