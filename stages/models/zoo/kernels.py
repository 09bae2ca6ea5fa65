"""The Triton kernels of `deformable`, a program a block of queries of one head, and of `halving`."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

_QUERIES = 16  # a program's
_VALUES = 1024  # a program's, of a picture that is halved


def sample_triton(value: Tensor, table: Tensor, locations: Tensor, weights: Tensor, out: Tensor) -> None:
    """See `deformable.sample`; table int32 [P, 3] has height, width and first position of each point's level."""
    frames, _, heads, size = value.shape
    queries, points = locations.shape[1], locations.shape[3]
    grid = (triton.cdiv(queries, _QUERIES), heads, frames)
    _sample[grid](
        value,
        table,
        locations,
        weights,
        out,
        value.shape[1],
        queries,
        heads,
        size,
        points=points,
        queries_a_program=_QUERIES,
        block=triton.next_power_of_2(size),
    )


def halve_triton(pictures: Tensor, out: Tensor) -> None:
    """Means of 2x2 pixels, of channels-last pictures [N, C, H, W] with even sides."""
    _, channels, _, width = out.shape
    _halve[(triton.cdiv(out.numel(), _VALUES),)](
        pictures, out, out.numel(), channels, width, values=_VALUES, enable_fp_fusion=False
    )


@triton.jit
def _corner(value, row, column, height, width, weight, found, channels, able, row_size):
    """What one of the four pixels around a point adds: nothing where it lies outside."""
    inside = found & (row >= 0) & (row < height) & (column >= 0) & (column < width)
    place = (row * width + column) * row_size
    pixel = tl.load(value + place[:, None] + channels[None, :], mask=inside[:, None] & able[None, :], other=0.0)
    return pixel.to(tl.float32) * weight[:, None]


@triton.jit(do_not_specialize=["positions", "queries"])
def _sample(
    value,  # [B, S, heads, size]
    table,  # int32 [P, 3]
    locations,  # [B, Q, heads, P, 2] x, y of 0 to 1
    weights,  # [B, Q, heads, P]
    out,  # [B, Q, heads * size]
    positions,
    queries,
    heads,
    size,
    points: tl.constexpr,
    queries_a_program: tl.constexpr,
    block: tl.constexpr,
):
    query = tl.program_id(0) * queries_a_program + tl.arange(0, queries_a_program)
    head, frame = tl.program_id(1), tl.program_id(2).to(tl.int64)
    found = query < queries
    channels = tl.arange(0, block)
    able = channels < size
    rows = (frame * queries + query) * heads + head
    of_frame = value + frame * positions * heads * size + head * size
    total = tl.zeros([queries_a_program, block], dtype=tl.float32)
    for point in range(points):
        height = tl.load(table + point * 3)
        width = tl.load(table + point * 3 + 1)
        level = of_frame + tl.load(table + point * 3 + 2).to(tl.int64) * heads * size
        at = rows * points + point
        x = tl.load(locations + at * 2, mask=found, other=0.0).to(tl.float32) * width.to(tl.float32) - 0.5
        y = tl.load(locations + at * 2 + 1, mask=found, other=0.0).to(tl.float32) * height.to(tl.float32) - 0.5
        x = tl.minimum(tl.maximum(x, -2.0), width.to(tl.float32) + 1.0)  # as far outside as makes no difference
        y = tl.minimum(tl.maximum(y, -2.0), height.to(tl.float32) + 1.0)
        weight = tl.load(weights + at, mask=found, other=0.0).to(tl.float32)
        left, top = tl.floor(x), tl.floor(y)
        across, down = x - left, y - top
        column, row = left.to(tl.int32), top.to(tl.int32)
        above, below = weight * (1.0 - down), weight * down
        step = heads * size
        total += _corner(level, row, column, height, width, above * (1.0 - across), found, channels, able, step)
        total += _corner(level, row, column + 1, height, width, above * across, found, channels, able, step)
        total += _corner(level, row + 1, column, height, width, below * (1.0 - across), found, channels, able, step)
        total += _corner(level, row + 1, column + 1, height, width, below * across, found, channels, able, step)
    place = rows[:, None] * size + channels[None, :]
    tl.store(out + place, total.to(out.dtype.element_ty), mask=found[:, None] & able[None, :])


@triton.jit(do_not_specialize=["count"])
def _halve(pictures, out, count, channels, width, values: tl.constexpr):
    place = tl.program_id(0) * values + tl.arange(0, values)
    able = place < count
    channel, pixel = place % channels, place // channels
    column, row = pixel % width, pixel // width  # rows of all pictures together, which have twice as many above
    first = (row.to(tl.int64) * 4 * width + column * 2) * channels + channel
    total = tl.zeros([values], dtype=tl.float32)
    for corner in tl.static_range(4):
        step = (corner // 2) * 2 * width * channels + (corner % 2) * channels
        total += tl.load(pictures + first + step, mask=able, other=0.0).to(tl.float32)
    tl.store(out + place, (total * 0.25).to(out.dtype.element_ty), mask=able)
