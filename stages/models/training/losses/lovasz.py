"""The Lovász extension of the Jaccard loss: 1 - IoU of a set of pixels, made continuous in their errors.

Source: Berman et al. 2018, "The Lovász-Softmax loss" (arXiv:1705.08790).
"""

from __future__ import annotations

import torch
from torch import Tensor


def jaccard_extension(errors: Tensor, truth: Tensor) -> Tensor:
    """Errors weighted by what each adds to 1 - IoU when the pixels are got wrong in falling order of error.

    Args:
        errors: [..., M], 0 and more count; below 0 counts as 0.
        truth: [..., M] 0 or 1, whether a pixel belongs to the set.

    Returns:
        [...].
    """
    errors, order = errors.sort(dim=-1, descending=True)
    with torch.no_grad():
        steps = jaccard_steps(truth.gather(-1, order).to(errors.dtype))
    return (errors.clamp(min=0) * steps).sum(-1)


def jaccard_steps(truth: Tensor) -> Tensor:
    """How much 1 - IoU grows with each pixel got wrong, the first ones first: [..., M] 0 or 1 -> [..., M], sum 1."""
    total = truth.sum(-1, keepdim=True)
    intersection = total - truth.cumsum(-1)
    union = total + (1 - truth).cumsum(-1)
    loss = 1 - intersection / union
    return torch.cat([loss[..., :1], loss[..., 1:] - loss[..., :-1]], -1)
