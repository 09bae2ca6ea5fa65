"""The Triton kernels of `painting`.

Whether a mask is skipped hangs on what all better masks took, so masks go one after another, in one program a frame.
To keep that short, masks are packed first, 32 pixels a word; who gets a pixel is then found for all pixels at once.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_PACKED = 256  # words that a program packs
_WORDS = 4096  # words that a program claims at a time: all of a map of up to 131,072 pixels
_PIXELS = 1024


def claim_triton(masks: Tensor, order: Tensor, able: Tensor, max_overlap: float) -> tuple[Tensor, Tensor]:
    """See `painting.claim`; there is at least one mask."""
    frames, count, height, width = masks.shape
    pixels, device = height * width, masks.device
    words = triton.cdiv(pixels, 32)
    flat = masks.contiguous().view(torch.uint8)
    packed = torch.empty((frames * count, words), dtype=torch.int32, device=device)
    _pack[(triton.cdiv(words, _PACKED), frames * count)](flat, packed, pixels, words, block=_PACKED)
    taken = torch.zeros((frames, words), dtype=torch.int32, device=device)
    given = torch.zeros((frames, count), dtype=torch.int64, device=device)
    share = torch.full((1,), max_overlap, dtype=torch.float64, device=device)
    order = order.contiguous()
    block = min(triton.next_power_of_2(words), _WORDS)
    _claim[(frames,)](
        packed, order, able.contiguous().view(torch.uint8), share, taken, given, count, words, block=block, num_warps=8
    )
    ids = torch.empty((frames, height, width), dtype=torch.int64, device=device)
    _paint[(triton.cdiv(pixels, _PIXELS), frames)](flat, order, given, ids, count, pixels, block=_PIXELS)
    return ids, given


def winning_query_triton(logits: Tensor, order: Tensor, scores: Tensor, able: Tensor, scale: int) -> tuple[Tensor, ...]:
    """The columns of `painting.Winners`; only queries that take part are read. There is at least one, and one pixel."""
    frames, queries, height, width = logits.shape
    device, size = logits.device, (frames, height * scale, width * scale)
    winner = torch.empty(size, dtype=torch.int64, device=device)
    confident = torch.empty(size, dtype=torch.uint8, device=device)
    counts = torch.zeros((3, frames, queries), dtype=torch.int64, device=device)
    _winner[(triton.cdiv(size[1] * size[2], _PIXELS), frames)](
        logits.contiguous(),
        order.contiguous(),
        scores.contiguous(),
        able.sum(1),
        winner,
        confident,
        *counts,
        queries,
        height,
        width,
        scale=scale,
        block=_PIXELS,
        enable_fp_fusion=False,
    )
    return winner, confident.bool(), *counts


@triton.jit(do_not_specialize=["pixels", "words"])
def _pack(masks, packed, pixels, words, block: tl.constexpr):
    """Bit b of word w of a mask is its pixel 32 w + b."""
    mask = tl.program_id(1).to(tl.int64)
    word = tl.program_id(0) * block + tl.arange(0, block)
    bit = tl.arange(0, 32)
    pixel = word[:, None] * 32 + bit[None, :]
    value = tl.load(masks + mask * pixels + pixel, mask=pixel < pixels, other=0).to(tl.int32)
    # No two summands share a bit, so that the sum is the word; the highest bit is its sign.
    tl.store(packed + mask * words + word, tl.sum(value << bit[None, :], 1), mask=word < words)


@triton.jit
def _ones(word):
    """How many bits of each word are set."""
    word = word.to(tl.uint32, bitcast=True)
    word = (word & 0x55555555) + ((word >> 1) & 0x55555555)
    word = (word & 0x33333333) + ((word >> 2) & 0x33333333)
    word = (word & 0x0F0F0F0F) + ((word >> 4) & 0x0F0F0F0F)
    word = (word & 0x00FF00FF) + ((word >> 8) & 0x00FF00FF)
    return ((word & 0xFFFF) + (word >> 16)).to(tl.int32)


@triton.jit(do_not_specialize=["count", "words"])
def _claim(packed, order, able, max_overlap, taken, given, count, words, block: tl.constexpr):
    frame = tl.program_id(0).to(tl.int64)
    packed += frame * count * words
    taken += frame * words
    share = tl.load(max_overlap)
    new = 1
    for rank in range(count):
        if tl.load(able + frame * count + rank) != 0:
            row = tl.load(order + frame * count + rank)
            area = 0
            lost = 0
            for first in range(0, words, block):
                word = first + tl.arange(0, block)
                own = tl.load(packed + row * words + word, mask=word < words, other=0)
                others = tl.load(taken + word, mask=word < words, other=0)
                area += tl.sum(_ones(own), 0)
                lost += tl.sum(_ones(own & others), 0)
            if (lost < area) & (lost <= share * area):
                for first in range(0, words, block):
                    word = first + tl.arange(0, block)
                    own = tl.load(packed + row * words + word, mask=word < words, other=0)
                    others = tl.load(taken + word, mask=word < words, other=0)
                    tl.store(taken + word, own | others, mask=word < words)
                tl.store(given + frame * count + row, new)
                new += 1
            tl.debug_barrier()  # what one thread has written may be another's to read


@triton.jit(do_not_specialize=["count", "pixels"])
def _paint(masks, order, given, ids, count, pixels, block: tl.constexpr):
    """The id of the first painted mask that has the pixel."""
    frame = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * block + tl.arange(0, block)
    found = tl.zeros([block], dtype=tl.int64)
    for rank in range(count):
        row = tl.load(order + frame * count + rank)
        new = tl.load(given + frame * count + row)
        if new > 0:
            own = tl.load(masks + (frame * count + row) * pixels + pixel, mask=pixel < pixels, other=0)
            found = tl.where((found == 0) & (own != 0), new, found)
    tl.store(ids + frame * pixels + pixel, found, mask=pixel < pixels)


@triton.jit
def _taps(position, length, scale: tl.constexpr):
    """The two of `length` pixels between which a pixel of them enlarged lies, and the weight of the second."""
    at = tl.maximum(2 * position + 1 - scale, 0)
    first = at // (2 * scale)
    weight = (at - first * (2 * scale)).to(tl.float32) / (2.0 * scale)
    return first, tl.minimum(first + 1, length - 1), weight


@triton.jit(do_not_specialize=["queries", "height", "width"])
def _winner(
    logits,
    order,
    scores,
    kept,
    winner,
    confident,
    areas,
    won,
    painted,
    queries,
    height,
    width,
    scale: tl.constexpr,
    block: tl.constexpr,
):
    frame = tl.program_id(1).to(tl.int64)
    pixels = height * width * scale * scale
    pixel = tl.program_id(0) * block + tl.arange(0, block)
    inside = pixel < pixels
    y0, y1, down = _taps(tl.minimum(pixel // (width * scale), height * scale - 1), height, scale)
    x0, x1, across = _taps(pixel % (width * scale), width, scale)
    largest = tl.full([block], -1.0, dtype=tl.float64)
    best = tl.zeros([block], dtype=tl.int64)
    own = tl.zeros([block], dtype=tl.int32)
    for rank in range(tl.load(kept + frame)):
        query = tl.load(order + frame * queries + rank)
        plane = logits + (frame * queries + query) * height * width
        logit = tl.load(plane + y0 * width + x0).to(tl.float32)
        if scale > 1:
            near = logit * (1.0 - across) + tl.load(plane + y0 * width + x1).to(tl.float32) * across
            far = tl.load(plane + y1 * width + x0).to(tl.float32) * (1.0 - across)
            far += tl.load(plane + y1 * width + x1).to(tl.float32) * across
            logit = near * (1.0 - down) + far * down
        value = tl.load(scores + frame * queries + rank) / (1.0 + tl.exp(-logit.to(tl.float64)))
        larger = value > largest
        largest = tl.where(larger, value, largest)
        best = tl.where(larger, rank, best)
        own = tl.where(larger, (logit >= 0.0).to(tl.int32), own)
        tl.atomic_add(areas + frame * queries + rank, tl.sum((inside & (logit >= 0.0)).to(tl.int64), 0))
    for rank in range(tl.load(kept + frame)):
        mine = inside & (best == rank)
        tl.atomic_add(won + frame * queries + rank, tl.sum(mine.to(tl.int64), 0))
        tl.atomic_add(painted + frame * queries + rank, tl.sum((mine & (own != 0)).to(tl.int64), 0))
    tl.store(winner + frame * pixels + pixel, best, mask=inside)
    tl.store(confident + frame * pixels + pixel, own.to(tl.uint8), mask=inside)
