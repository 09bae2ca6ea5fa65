"""Weights averaged over the last steps: better than the last ones, and steady enough to compare.

Source: Polyak and Juditsky 1992; the moving average with a ramp as detectors use it, Tan and Le 2019, "EfficientNet"
(arXiv:1905.11946).
"""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class Average(Generic[Network]):
    """The exponential moving average of a network's weights and buffers, in a network of its own.

    Args:
        network: what is averaged; its weights now are the start.
        decay: share that stays in a step, once the ramp is over.
        ramp: steps in which the decay rises: it is at most ``steps / (steps + ramp)``, so that the first weights, which
            are random, are forgotten soon.
        steps: how many were taken, for a training that goes on.

    Attributes:
        network: the averaged network, in evaluation mode and without gradients.
    """

    def __init__(self, network: Network, decay: float, *, ramp: float = 10.0, steps: int = 0) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay is {decay}; it is a share from 0 to below 1")
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay, self.ramp, self.steps = decay, ramp, steps

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """Move towards the network's weights; counts that are whole numbers are taken over."""
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + self.ramp))
        state = network.state_dict()
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                value.lerp_(state[name], 1 - decay)
            else:
                value.copy_(state[name])
