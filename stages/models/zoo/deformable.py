"""Multi-scale deformable attention without the passes over memory that torch takes.

Each query samples a few points of maps of several scales and takes their weighted mean (Zhu et al., Deformable DETR,
2021, equation 3). With `grid_sample` the maps of each scale are brought into another order, and what is sampled is
written and read three times. The kernel is used on a GPU where Triton is; under
``torch.compile`` and on a CPU it is `grid_sample`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.implementation import Implementation, uses_triton

Shapes = Sequence[tuple[int, int]]  # height and width of each scale, finest first as the maps lie


def sample(
    value: Tensor,  # [B, S, heads, size] maps of all scales behind one another
    shapes: Shapes,
    locations: Tensor,  # [B, Q, heads, P, 2] x, y; 0 and 1 are the edges of a map
    weights: Tensor,  # [B, Q, heads, P]
    points: Sequence[int],  # of each scale; P together
    *,
    implementation: Implementation = "auto",
) -> Tensor:
    """The weighted sum of bilinear samples, [B, Q, heads * size]; outside the maps are zeros."""
    if uses_triton(implementation, value.device) and not torch.compiler.is_compiling() and locations.numel():
        from stages.models.zoo.kernels import sample_triton

        frames, queries, heads = locations.shape[:3]
        out = value.new_empty(frames, queries, heads * value.shape[3])
        table = _table(tuple(map(tuple, shapes)), tuple(points), value.device)
        sample_triton(value.contiguous(), table, locations.contiguous(), weights.contiguous(), out)
        return out
    return _sampled(value, shapes, locations, weights, points)


class Sampling(nn.Module):
    """In place of the module that samples in networks of transformers, which have as many points in every scale."""

    def forward(
        self, value: Tensor, _: Any, shapes: Shapes, __: Any, locations: Tensor, weights: Tensor, *___: Any
    ) -> Tensor:
        """Of locations [B, Q, heads, scales, points, 2] and weights of one dimension less: [B, Q, heads * size]."""
        points = [locations.shape[4]] * locations.shape[3]
        return sample(value, shapes, locations.flatten(3, 4), weights.flatten(3), points)


def sample_of_each(
    value: Tensor, shapes: Shapes, locations: Tensor, weights: Tensor, points: Sequence[int], method: str = "default"
) -> Tensor:
    """In place of the function that samples in D-FINE, whose scales have points of their own. `method` is checked."""
    assert method == "default"
    return sample(value, shapes, locations, weights, points)


class Attention(nn.Module):
    """RT-DETRv2's attention to the maps: queries with boxes say where to sample, relative to their box."""

    def __init__(self, given: Any) -> None:
        """It takes over the weights of transformers' module."""
        super().__init__()
        self.value_proj, self.output_proj = given.value_proj, given.output_proj
        self.sampling_offsets, self.attention_weights = given.sampling_offsets, given.attention_weights
        self.heads, self.points = int(given.n_heads), [int(count) for count in given.n_points_list]
        of_each = [given.offset_scale / count for count in self.points for _ in range(count)]
        self.reach: Tensor
        self.register_buffer("reach", torch.tensor(of_each, dtype=torch.float32)[:, None], persistent=False)

    def forward(
        self,
        hidden_states: Tensor,
        *,
        encoder_hidden_states: Tensor,
        reference_points: Tensor,
        spatial_shapes_list: Shapes,
        position_embeddings: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> tuple[Tensor, Tensor]:
        """Of queries [B, Q, C], maps [B, S, C] and boxes [B, Q, 1, 4] of centre and size: [B, Q, C] and the weights."""
        asked = hidden_states if position_embeddings is None else hidden_states + position_embeddings
        value = self.value_proj(encoder_hidden_states)
        if attention_mask is not None:
            value = value.masked_fill(~attention_mask[..., None], 0.0)
        frames, queries, channels = asked.shape
        offsets = self.sampling_offsets(asked).view(frames, queries, self.heads, -1, 2)
        weights = self.attention_weights(asked).view(frames, queries, self.heads, -1).softmax(-1)
        boxes = reference_points[:, :, None]
        centre, size = boxes[..., :2], boxes[..., 2:]
        locations = centre + offsets * self.reach.to(offsets.dtype) * size
        maps = value.view(frames, value.shape[1], self.heads, channels // self.heads)
        found = sample(maps, spatial_shapes_list, locations, weights, self.points)
        return self.output_proj(found), weights


def sample_in_kernels(network: nn.Module) -> int:
    """Sample so in a network of transformers, which is changed; in how many places."""
    changed = 0
    for holder in list(network.modules()):
        if _is_core(getattr(holder, "ms_deformable_attn_core", None)) and holder.decoder_method == "default":
            holder.ms_deformable_attn_core = sample_of_each  # type: ignore[assignment]
            changed += 1
        for name, child in list(holder.named_children()):
            made = _in_place_of(child)
            if made is not None:
                setattr(holder, name, made)
                changed += 1
    return changed


def _in_place_of(child: nn.Module) -> nn.Module | None:
    kind = type(child).__name__
    if kind == "MultiScaleDeformableAttention":
        return Sampling()
    if kind == "RTDetrV2MultiscaleDeformableAttention" and child.method == "default":
        return Attention(child)
    return None


def _is_core(core: Any) -> bool:
    return getattr(core, "__name__", "") == "multi_scale_deformable_attention_v2"


def _sampled(value: Tensor, shapes: Shapes, locations: Tensor, weights: Tensor, points: Sequence[int]) -> Tensor:
    """By `grid_sample`, a scale at a time."""
    frames, _, heads, size = value.shape
    queries = locations.shape[1]
    of_all = value.permute(0, 2, 3, 1).flatten(0, 1)
    at = (2 * locations - 1).transpose(1, 2).flatten(0, 1)  # [B * heads, Q, P, 2]
    maps = torch.split(of_all, [height * width for height, width in shapes], dim=2)
    grids = torch.split(at, list(points), dim=2)
    found = [
        F.grid_sample(one.view(*one.shape[:2], *shape), grid, align_corners=False)  # bilinear, zeros outside
        for one, shape, grid in zip(maps, shapes, grids, strict=True)
    ]
    of_each = weights.transpose(1, 2).flatten(0, 1)[:, None]
    total = (torch.cat(found, 3) * of_each).sum(3)  # [B * heads, size, Q]
    return total.view(frames, heads * size, queries).transpose(1, 2).contiguous()


@lru_cache(maxsize=256)
def _table(shapes: tuple[tuple[int, int], ...], points: tuple[int, ...], device: torch.device) -> Tensor:
    """int32 [P, 3]: height, width and first position of each point's scale; uploaded once."""
    rows, first = [], 0
    for (height, width), count in zip(shapes, points, strict=True):
        rows += [(height, width, first)] * count
        first += height * width
    return torch.tensor(rows, dtype=torch.int32, device=device)
