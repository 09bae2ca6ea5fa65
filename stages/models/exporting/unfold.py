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
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import numpy_helper
from torch import Tensor, nn

from pipeline.errors import ModelError
from stages.models.backend import check_file
from stages.models.exporting.card import network_config, read_whole_card
from stages.models.exporting.folding import NormPair, folded, norm_pairs
from stages.models.nano.network import Nano, NanoConfig

# PyTorch's first weights are uniform with variance 1 / (3 fan-in): an output channel's weights then have this length.
_FIRST_LENGTH = math.sqrt(1 / 3)
_PREFIX = "network."
_HALVED = "_half"


def unfolded(model: Path, pictures: Iterable[Tensor], *, config: NanoConfig | None = None) -> Nano:
    """The network of an exported ONNX file, ready to be trained on.

    Args:
        model: the ONNX file.
        pictures: batches of RGB 0..255 [N, 3, H, W] such as it will be trained on; a few hundred pictures do.
        config: shape of the network in the file; None: as its card says.

    Raises:
        ModelError: when the file holds other weights than the network has, or has no card and no `config` is given.
        ValueError: when there is no picture.
    """
    network = Nano(config or network_config(read_whole_card(model)))
    network = network.to(memory_format=torch.channels_last).eval()
    pairs = norm_pairs(network)
    norms = tuple(f"{pair.norm_name}." for pair in pairs)
    expected = {name for name in network.state_dict() if not name.startswith(norms)}
    expected |= {f"{pair.convolution_name}.bias" for pair in pairs}
    weights = _stored(model, expected)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name in weights:
                parameter.copy_(weights[name])
        for pair in pairs:
            _set_norm(pair, *(weights[f"{pair.convolution_name}.{part}"] for part in ("weight", "bias")))
        _measure(network, pictures)
    return network


def refolded(model: Path, *, config: NanoConfig | None = None) -> Nano:
    """The network of an exported ONNX file as it is in there: norms folded, for evaluation only.

    Args:
        model: the ONNX file.
        config: shape of the network in the file; None: as its card says.

    Raises:
        ModelError: when the file holds other weights than the network has, or has no card and no `config` is given.
    """
    network = folded(Nano(config or network_config(read_whole_card(model))))
    network.load_state_dict(_stored(model, set(network.state_dict())))
    return network


def _stored(model: Path, expected: set[str]) -> dict[str, Tensor]:
    """The expected weights in the file by their name in the network, float32. Raises `ModelError`."""
    check_file(model)
    try:
        tensors = onnx.load(model).graph.initializer
    except (DecodeError, ValueError) as exc:
        raise ModelError(f"{model}: not an ONNX file that can be read: {exc}") from exc
    found = {}
    for tensor in tensors:
        name = tensor.name.removeprefix(_PREFIX).removesuffix(_HALVED)
        if name in expected:
            found[name] = torch.from_numpy(np.array(numpy_helper.to_array(tensor), np.float32))
    if missing := sorted(expected - found.keys()):
        raise ModelError(
            f"{model} holds no {missing[0]} ({len(missing)} weights are missing); "
            "a file of 'everyframe export' is needed"
        )
    return found


def _set_norm(pair: NormPair, weight: Tensor, bias: Tensor) -> None:
    """Weights of the usual length, and a norm of mean 0 and variance 1 that undoes the change."""
    convolution, norm = pair.convolution, pair.norm
    length = weight.flatten(1).norm(dim=1)
    gain = torch.where(length > 0, _FIRST_LENGTH / length.clamp(min=1e-12), torch.ones_like(length))  # [outputs]
    convolution.weight.copy_(weight * gain[:, None, None, None])
    if convolution.bias is not None:
        convolution.bias.zero_()
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
