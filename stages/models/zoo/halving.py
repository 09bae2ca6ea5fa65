"""Means of 2x2 pixels, as ResNet-D has them around its blocks: on a GPU at the speed of memory, as torch's are not."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.implementation import uses_triton


class Halving(nn.Module):
    """Means of 2x2 pixels; where a side is odd the last is of what there is."""

    def forward(self, pictures: Tensor) -> Tensor:
        """Of [N, C, H, W]."""
        fits = pictures.is_contiguous(memory_format=torch.channels_last) and not any(s % 2 for s in pictures.shape[2:])
        if not fits or torch.compiler.is_compiling() or not uses_triton("auto", pictures.device):
            return F.avg_pool2d(pictures, 2, 2, ceil_mode=True)
        return halved(pictures)


def halved(pictures: Tensor) -> Tensor:
    """`Halving` of channels-last pictures with even sides, by the kernel."""
    from stages.models.zoo.kernels import halve_triton

    frames, channels, height, width = pictures.shape
    shape = (frames, channels, height // 2, width // 2)
    out = torch.empty(shape, dtype=pictures.dtype, device=pictures.device, memory_format=torch.channels_last)
    halve_triton(pictures, out)
    return out


def halve_in_kernels(network: nn.Module) -> int:
    """Halve so in a network, which is changed; in how many places."""
    changed = 0
    for holder in list(network.modules()):
        for name, child in list(holder.named_children()):
            if type(child) is nn.AvgPool2d and _is_halving(child):
                setattr(holder, name, Halving())
                changed += 1
    return changed


def _is_halving(pool: nn.AvgPool2d) -> bool:
    sides = (pool.kernel_size, pool.stride, pool.padding)
    return sides == (2, 2, 0) and pool.ceil_mode and pool.divisor_override is None
