"""Optimisers as networks like this one want them: no decay of norms and biases, a rate of its own for a backbone.

Sources: AdamW, Loshchilov and Hutter 2017 (arXiv:1711.05101); SGD with Nesterov's momentum, Sutskever et al. 2013; no
decay of norms and biases, He et al. 2018, "Bag of Tricks" (1812.01187); clipping by norm, Pascanu et al. 2012
(1211.5063).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Groups = list[dict[str, Any]]


def sgd(groups: Groups, *, learning_rate: float) -> Optimizer:
    """Stochastic gradient descent with Nesterov's momentum of 0.9."""
    return torch.optim.SGD(groups, lr=learning_rate, momentum=0.9, nesterov=True)


def adamw(groups: Groups, *, learning_rate: float) -> Optimizer:
    """AdamW; a second moment over 100 steps rather than 1000, since trainings here are short."""
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.99))


OPTIMISERS: dict[str, Callable[..., Optimizer]] = {"sgd": sgd, "adamw": adamw}


def make_optimiser(
    network: nn.Module,
    *,
    kind: str = "adamw",
    learning_rate: float,
    weight_decay: float,
    backbone: str = "backbone",
    backbone_rate: float = 1.0,
) -> Optimizer:
    """An optimiser of everything in the network that takes gradients.

    Args:
        network: what to train.
        kind: one of `OPTIMISERS`.
        learning_rate: the highest.
        weight_decay: of tensors of two dimensions and more; norms and biases have none.
        backbone: name of the module whose rate is lower.
        backbone_rate: its rate, as a share of the others'. 1 for one that starts at random, 0.1 for a pretrained one.

    Raises:
        ValueError: for another kind.
    """
    if kind not in OPTIMISERS:
        raise ValueError(f"optimiser {kind!r}; there are {', '.join(OPTIMISERS)}")
    groups = parameter_groups(network, weight_decay=weight_decay, backbone=backbone, backbone_rate=backbone_rate)
    optimiser = OPTIMISERS[kind](groups, learning_rate=learning_rate)
    set_rate(optimiser, learning_rate)
    return optimiser


def parameter_groups(network: nn.Module, *, weight_decay: float, backbone: str, backbone_rate: float) -> Groups:
    """Up to four groups, by decay and by rate; each with its `share` of the rate."""
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        share = backbone_rate if name.startswith(f"{backbone}.") else 1.0
        decay = weight_decay if parameter.ndim > 1 else 0.0
        group = groups.setdefault((share, decay), {"params": [], "weight_decay": decay, "share": share})
        group["params"].append(parameter)
    return list(groups.values())


def set_rate(optimiser: Optimizer, rate: float) -> None:
    """Give every group its share of the rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]


def clip_gradients(parameters: Iterable[Tensor], longest: float) -> float:
    """Shorten all gradients together to `longest` where they are longer; the length that they had.

    Where that is not finite they stay as they are: skip the step, it would ruin the weights.
    """
    taken = [parameter for parameter in parameters if parameter.grad is not None]
    norm = nn.utils.get_total_norm([parameter.grad for parameter in taken if parameter.grad is not None])
    length = float(norm)
    if math.isfinite(length) and longest > 0:
        nn.utils.clip_grads_with_norm_(taken, longest, norm)
    return length
