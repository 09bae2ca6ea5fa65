"""Who gets which pixel, for batches on a device: the two steps of the merge rules that look at every mask.

In torch, and in the kernels of `painting_kernel` where Triton runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Winners:
    """Who wins each pixel of B frames, and how many each query does; queries by their rank."""

    winner: Tensor  # int64 [B, h, w]
    confident: Tensor  # bool [B, h, w] whether the winner's own mask is set
    areas: Tensor  # int64 [B, Q] pixels of a query's mask
    won: Tensor  # int64 [B, Q] pixels it wins
    painted: Tensor  # int64 [B, Q] pixels of its mask that it wins


def claim(
    masks: Tensor,  # bool [B, N, h, w]
    order: Tensor,  # int64 [B, N] rows, best first
    able: Tensor,  # bool [B, N] which of these may be painted, in that order
    max_overlap: float,
    *,
    triton: bool,
) -> tuple[Tensor, Tensor]:
    """Each mask in turn paints its free pixels, unless more than `max_overlap` of it is taken or nothing is left.

    Returns:
        Ids [B, h, w], counted from 1 in order of painting, 0 free; and the id given to each row [B, N], 0 for none;
        both int64.
    """
    if triton:
        from stages.segment.painting_kernel import claim_triton

        return claim_triton(masks, order, able, max_overlap)
    frames, count, height, width = masks.shape
    flat = masks.flatten(2)
    areas = flat.sum(2)
    ids = torch.zeros((frames, height * width), dtype=torch.int64, device=masks.device)
    given = torch.zeros((frames, count), dtype=torch.int64, device=masks.device)
    new = torch.ones((frames, 1), dtype=torch.int64, device=masks.device)
    frame = torch.arange(frames, device=masks.device)
    for rank in range(count):
        row = order[:, rank]
        mask = flat[frame, row]
        area = areas[frame, row][:, None]
        taken = (mask & (ids > 0)).sum(1, keepdim=True)
        painted = able[:, rank, None] & (taken < area) & (taken <= max_overlap * area.double())
        ids = torch.where(mask & (ids == 0) & painted, new, ids)
        given.scatter_(1, row[:, None], new * painted)
        new = new + painted
    return ids.view(frames, height, width), given


def winning_query(
    logits: Tensor,  # [B, Q, h, w]
    order: Tensor,  # int64 [B, Q] queries by falling score
    scores: Tensor,  # float64 [B, Q] in that order, 0 of those that take no part
    able: Tensor,  # bool [B, Q] in that order: those that take part, before the others
    *,
    scale: int,
    triton: bool,
) -> Winners:
    """The rank of the query with the largest ``score * sigmoid(logit)`` at each pixel; of equal ones the first.

    Pixels are those of the logits enlarged `scale` times, linearly.
    """
    if triton:
        from stages.segment.painting_kernel import winning_query_triton

        return Winners(*winning_query_triton(logits, order, scores, able, scale))
    frames, queries, height, width = logits.shape
    winner = torch.empty((frames, height * scale, width * scale), dtype=torch.int64, device=logits.device)
    confident = torch.empty_like(winner, dtype=torch.bool)
    areas = torch.empty((frames, queries), dtype=torch.int64, device=logits.device)
    for frame in range(frames):  # the products of all frames at once could fill the device
        own = logits[frame].index_select(0, order[frame]).float()
        if scale > 1:
            own = F.interpolate(own[None], scale_factor=scale, mode="bilinear", align_corners=False)[0]
        winner[frame] = (own.double().sigmoid() * scores[frame, :, None, None]).argmax(0)
        confident[frame] = own.gather(0, winner[frame][None])[0] >= 0
        areas[frame] = (own >= 0).sum((1, 2))
    confident &= able.any(1)[:, None, None]
    painted = histogram(torch.where(confident, winner, queries), queries + 1)[:, :queries]
    return Winners(winner, confident, areas, histogram(winner, queries), painted)


def histogram(values: Tensor, bins: int) -> Tensor:
    """How often each of 0..bins (exclusive) occurs in each frame [B, bins]; `bincount` would wait for the GPU."""
    flat = values.long().flatten(1)
    counts = torch.zeros((len(flat), bins), dtype=torch.int64, device=flat.device)
    return counts.scatter_add_(1, flat, torch.ones_like(flat))


def paint_winners(winner: Tensor, confident: Tensor, segment: Tensor) -> Tensor:
    """Ids [B, h, w]: the segment [B, Q] of each pixel's winner where its own mask is set, else 0."""
    painted = segment.gather(1, winner.flatten(1)).view_as(winner)
    return torch.where(confident, painted, 0)
