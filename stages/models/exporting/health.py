"""Weights that cannot be those of a trained network, found before anything is written."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from pipeline.errors import ModelError

_VANISHED = 1e-12


def check_weights(network: nn.Module) -> None:
    """Refuse weights that are not finite, and norms that let nothing through.

    Raises:
        ModelError: naming the first of them.
    """
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            count = int((~torch.isfinite(tensor)).sum())
            raise ModelError(f"weight {name}: {count} of {tensor.numel()} values are not finite; the training failed")
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            _check_norm(name, module)


def _check_norm(name: str, norm: nn.BatchNorm2d) -> None:
    if norm.affine and float(norm.weight.detach().abs().max()) < _VANISHED:
        raise ModelError(f"norm {name}: all of its {norm.num_features} weights are 0, so that nothing gets through it")
    if norm.track_running_stats and float(cast(Tensor, norm.running_var).max()) < _VANISHED:
        raise ModelError(f"norm {name}: all of its {norm.num_features} variances are 0; it has seen no pictures")
