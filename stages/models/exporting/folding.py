"""Batch norms made part of the convolutions before them, which is how a network is deployed."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TypeVar, cast

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class NormPair:
    """A convolution and the batch norm after it, in a sequence of layers.

    Attributes:
        name: of the sequence, with a dot behind it; empty for the network itself.
        layers: the sequence.
        index: of the convolution; the norm is the next.
    """

    name: str
    layers: nn.Sequential
    index: int

    @property
    def convolution(self) -> nn.Conv2d:
        """The convolution."""
        return cast(nn.Conv2d, self.layers[self.index])

    @property
    def norm(self) -> nn.BatchNorm2d:
        """The norm."""
        return cast(nn.BatchNorm2d, self.layers[self.index + 1])

    @property
    def convolution_name(self) -> str:
        """Of the convolution, as `state_dict` writes it."""
        return f"{self.name}{self.index}"

    @property
    def norm_name(self) -> str:
        """Of the norm, as `state_dict` writes it."""
        return f"{self.name}{self.index + 1}"


def norm_pairs(network: nn.Module) -> list[NormPair]:
    """Every norm that directly follows a convolution in an `nn.Sequential`, in the network's order."""
    return [
        NormPair(f"{name}." if name else "", layers, index)
        for name, layers in network.named_modules()
        if isinstance(layers, nn.Sequential)
        for index in range(len(layers) - 1)
        if isinstance(layers[index], nn.Conv2d) and isinstance(layers[index + 1], nn.BatchNorm2d)
    ]


def folded(network: Network) -> Network:
    """A copy in evaluation mode whose batch norms are part of the convolutions before them."""
    network = copy.deepcopy(network).eval()
    for pair in norm_pairs(network):
        pair.layers[pair.index] = fuse_conv_bn_eval(pair.convolution, pair.norm)
        pair.layers[pair.index + 1] = nn.Identity()
    return network
