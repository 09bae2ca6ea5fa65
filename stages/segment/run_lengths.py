"""Id maps as run lengths, found on the device that holds the maps, so that only runs cross the bus.

The runs of each map are those of `pipeline.wire`: row by row, going on from the end of a row to the start of the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """The runs of B maps, one map after another; those of map b are rows ``offsets[b]`` to ``offsets[b + 1]``."""

    lengths: Tensor  # int32 [n] at least 1
    values: Tensor  # int32 [n]
    offsets: Tensor  # int64 [B + 1]


def runs_of(ids: Tensor, *, capacity: int | None = None) -> Runs:
    """The runs of maps [B, h, w] of integers from 0 to 65,535.

    How many runs there are is known on the device alone. Without `capacity` the host waits for it, once for all maps.
    With it, nothing is waited for: there are as many rows as `capacity`, those past ``offsets[-1]`` are 0, and where
    ``offsets[-1]`` exceeds `capacity` the maps had too many runs and those that were left out are not told.

    Raises:
        ValueError: where the maps have no pixels.
    """
    if ids.ndim != 3 or 0 in ids.shape[1:]:
        raise ValueError(f"ids are {list(ids.shape)}; [B, h, w] with at least one pixel is needed")
    flat = ids.flatten(1)
    begins = torch.ones_like(flat, dtype=torch.bool)  # whether a run begins at the pixel
    begins[:, 1:] = flat[:, 1:] != flat[:, :-1]
    offsets = torch.zeros(len(ids) + 1, dtype=torch.int64, device=ids.device)
    offsets[1:] = begins.sum(1).cumsum(0)
    total = flat.numel()
    starts = _first(begins.view(-1), capacity)
    ends = torch.full_like(starts, total)
    ends[:-1] = starts[1:]
    values = flat.reshape(-1)[starts.clamp(max=max(total - 1, 0))] if total else starts
    return Runs((ends - starts).int(), torch.where(starts < total, values, 0).int(), offsets)


def _first(begins: Tensor, capacity: int | None) -> Tensor:
    """Where [n] is true, int64: all, or the first `capacity`; rows that are left over have ``len(begins)``."""
    if capacity is None:
        return begins.nonzero()[:, 0]
    rank = begins.cumsum(0) - 1
    place = torch.where(begins & (rank < capacity), rank, capacity)
    starts = torch.full((capacity + 1,), len(begins), dtype=torch.int64, device=begins.device)
    return starts.scatter_(0, place, torch.arange(len(begins), device=begins.device))[:capacity]
