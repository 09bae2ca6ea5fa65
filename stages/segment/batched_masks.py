"""What the merge rules take, of batches on a device: instance masks of several kinds, and the label of each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

_SKIPPED, _VOID = -2, -1  # as in `merge_kernels`


def label_pixels(logits: Tensor, labels: Sequence[int], *, scale: int = 1) -> Tensor:
    """The winning label, int64 [B, scale * h, scale * w], of semantic logits [B, C, h, w]; -1 is void.

    `labels` [C] as `merge.channel_labels` makes them. Only the part of the map that shows the picture is to be given.
    Logits are interpolated linearly; of equal ones the first channel wins. The first call with its labels copies them
    to the device; call once before a CUDA graph is captured. Raises `ValueError` where the number of channels differs.
    """
    if len(labels) != logits.shape[1]:
        raise ValueError(f"logits have {logits.shape[1]} channels; {len(labels)} are named")
    channels, label_of = _taking_part(tuple(labels), logits.device)
    if not len(channels):
        shape = (len(logits), logits.shape[2] * scale, logits.shape[3] * scale)
        return torch.full(shape, _VOID, dtype=torch.int64, device=logits.device)
    if len(channels) < len(labels):
        logits = logits.index_select(1, channels)
    logits = logits.float()
    if scale > 1:
        logits = F.interpolate(logits, scale_factor=scale, mode="bilinear", align_corners=False)
    return label_of[logits.argmax(1)]


def prototype_masks(
    prototypes: Tensor,  # [B, K, h, w]
    coefficients: Tensor,  # [B, N, K]
    boxes: Tensor,  # [B, N, 4] xyxy, pixels of the map at `scale`
    *,
    scale: int = 1,
) -> Tensor:
    """Masks, bool [B, N, scale * h, scale * w]: where ``coefficients @ prototypes > 0`` inside their boxes."""
    values = torch.einsum("bnk,bkhw->bnhw", coefficients.float(), prototypes.float())
    if scale > 1:
        values = F.interpolate(values, scale_factor=scale, mode="bilinear", align_corners=False)
    return (values > 0) & _inside(boxes, values.shape[2], values.shape[3])


def pasted_masks(
    masks: Tensor,  # [B, N, M, M] probabilities of boxes (Mask R-CNN)
    boxes: Tensor,  # [B, N, 4] xyxy, pixels of the map
    *,
    height: int,
    width: int,
) -> Tensor:
    """Masks, bool [B, N, height, width]: each box's interpolated linearly at the centres of pixels, and above 0.5.

    Outside of its outermost samples a mask falls to nothing within one sample. Interpolating is linear in each
    direction by itself, so that it is two matrix products.
    """
    side = masks.shape[3]
    left, top, right, bottom = boxes.float().unbind(2)
    rows = _weights(top, bottom, height, side)  # [B, N, height, M]
    columns = _weights(left, right, width, side)
    return rows @ masks.float() @ columns.transpose(2, 3) > 0.5


def box_masks(
    label_at: Tensor,  # [B, h, w] from `label_pixels`
    boxes: Tensor,  # [B, N, 4] xyxy, pixels of the map
    labels: Tensor,  # [B, N]
) -> Tensor:
    """The masks of rule b, bool [B, N, h, w]: what bears the label of a box inside it."""
    return (label_at[:, None] == labels[..., None, None]) & _inside(boxes, label_at.shape[1], label_at.shape[2])


@lru_cache(maxsize=64)
def _taking_part(labels: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """The semantic channels [K] that are not skipped, and the label of each [K]."""
    kept = [(channel, label) for channel, label in enumerate(labels) if label != _SKIPPED]
    pairs = torch.tensor(kept, dtype=torch.int64).view(-1, 2)
    return pairs[:, 0].to(device), pairs[:, 1].to(device)


def _weights(low: Tensor, high: Tensor, length: int, side: int) -> Tensor:
    """How much each of `side` samples between low and high [B, N] counts at each pixel, [B, N, length, side]."""
    centre = torch.arange(length, dtype=torch.float32, device=low.device) + 0.5
    at = (centre - low[..., None]) / (high - low).clamp(min=1e-6)[..., None] * side - 0.5  # [B, N, length]
    sample = torch.arange(side, dtype=torch.float32, device=low.device)
    return (1.0 - (at[..., None] - sample).abs()).clamp(min=0.0)


def _inside(boxes: Tensor, height: int, width: int) -> Tensor:
    """Pixels [B, N, h, w] whose centres lie in the boxes, right and lower edges excluded."""
    x = torch.arange(width, dtype=torch.float32, device=boxes.device) + 0.5
    y = torch.arange(height, dtype=torch.float32, device=boxes.device) + 0.5
    left, top, right, bottom = (side[..., None] for side in boxes.float().unbind(2))  # [B, N, 1]
    columns = (left <= x) & (x < right)
    rows = (top <= y) & (y < bottom)
    return rows[..., :, None] & columns[..., None, :]
