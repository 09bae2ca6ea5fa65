"""The Triton kernel of `batched`: a program a frame, whose boxes and scores stay in its registers.

What is picked is found a step at a time, as the definition has it, so that the result is exact.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from stages.suppress.kernels import HARD, SOFT_GAUSSIAN

_WARPS = ((256, 2), (512, 4))  # of blocks up to so many boxes; 8 of larger ones


def decay_triton(
    boxes: Tensor,  # float32 [B, N, 4]
    scores: Tensor,  # float32 [B, N] 0 where a box cannot be kept
    labels: Tensor,  # int32 [B, N]
    parameters: Tensor,  # float64 [3] sigma, iou_threshold, score_threshold
    method: int,
    rows: Tensor,  # int64 [B, M] of -1, filled
    kept: Tensor,  # float32 [B, M] of 0, filled
) -> None:
    """Hard, soft-linear or soft-gaussian NMS. All tensors are contiguous, N and M at least 1."""
    frames, count = scores.shape
    block = max(triton.next_power_of_2(count), 16)
    _decay[(frames,)](
        boxes,
        scores,
        labels,
        parameters,
        rows,
        kept,
        count,
        rows.shape[1],
        gaussian=method == SOFT_GAUSSIAN,
        hard=method == HARD,
        block=block,
        num_warps=next((warps for size, warps in _WARPS if block <= size), 8),
        enable_fp_fusion=False,  # else the sums of areas round otherwise than on a CPU
    )


@triton.jit(do_not_specialize=["count", "most"])
def _decay(
    boxes,
    scores,
    labels,
    parameters,
    rows,
    kept,
    count,
    most,
    gaussian: tl.constexpr,
    hard: tl.constexpr,
    block: tl.constexpr,
):
    frame = tl.program_id(0)
    boxes += frame * count * 4
    labels += frame * count
    rows += frame * most
    kept += frame * most
    sigma, iou_threshold, score_threshold = tl.load(parameters), tl.load(parameters + 1), tl.load(parameters + 2)
    index = tl.arange(0, block)
    given = index < count
    x1 = tl.load(boxes + index * 4, mask=given, other=0.0).to(tl.float64)
    y1 = tl.load(boxes + index * 4 + 1, mask=given, other=0.0).to(tl.float64)
    x2 = tl.load(boxes + index * 4 + 2, mask=given, other=0.0).to(tl.float64)
    y2 = tl.load(boxes + index * 4 + 3, mask=given, other=0.0).to(tl.float64)
    label = tl.load(labels + index, mask=given, other=-1)
    left = tl.load(scores + frame * count + index, mask=given, other=0.0).to(tl.float64)
    area = (x2 - x1) * (y2 - y1)
    top = tl.max(left, 0)
    taken = 0
    while (taken < most) & (top > 0.0):
        best = tl.min(tl.where(left == top, index, block), 0)  # of equal ones the first
        tl.store(rows + taken, best.to(tl.int64))
        tl.store(kept + taken, top.to(tl.float32))
        best_x1 = tl.load(boxes + best * 4).to(tl.float64)
        best_y1 = tl.load(boxes + best * 4 + 1).to(tl.float64)
        best_x2 = tl.load(boxes + best * 4 + 2).to(tl.float64)
        best_y2 = tl.load(boxes + best * 4 + 3).to(tl.float64)
        width = tl.maximum(tl.minimum(best_x2, x2) - tl.maximum(best_x1, x1), 0.0)
        height = tl.maximum(tl.minimum(best_y2, y2) - tl.maximum(best_y1, y1), 0.0)
        overlap = tl.where(label == tl.load(labels + best), width * height, 0.0)
        best_area = (best_x2 - best_x1) * (best_y2 - best_y1)
        iou = overlap / tl.maximum(best_area + area - overlap, 1e-30)
        if gaussian:
            weight = tl.exp(-iou * iou / sigma)
        elif hard:
            weight = tl.where(iou <= iou_threshold, 1.0, 0.0)
        else:
            weight = tl.where(iou <= iou_threshold, 1.0, 1.0 - iou)
        left = tl.where(index == best, 0.0, left * weight)
        left = tl.where(left >= score_threshold, left, 0.0)
        top = tl.max(left, 0)
        taken += 1
