"""Suppression of a batch of frames on the device that found their boxes, without waiting for it.

The rows and scores of `suppress.suppress`, a frame at a time; float64 as there, so that order and ties do not hang on
rounding. Hard and soft NMS run in the kernel of `batched_kernel` where Triton runs, else in a loop over what is picked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from stages.implementation import Implementation, uses_triton
from stages.suppress.suppress import CANDIDATES, METHODS, Method

_NO_AREA = 1e-30  # stands in for a union of nothing, where the overlap is nothing too


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What suppression left of each of B frames, best first; as many columns as can be kept, the rest filled up."""

    rows: Tensor  # int64 [B, M] rows of the frame's boxes; -1 past the last
    scores: Tensor  # float32 [B, M]; 0 past the last
    counts: Tensor  # int64 [B]


def suppress_batch(
    boxes: Tensor,  # [B, N, 4] xyxy
    scores: Tensor,  # [B, N]
    labels: Tensor,  # [B, N]
    *,
    method: Method = "soft-gaussian",
    sigma: float = 0.5,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.1,
    max_detections: int = 100,
    class_agnostic: bool = False,
    implementation: Implementation = "auto",
) -> Kept:
    """Rows kept of each frame, and what suppression left of their scores; `suppress.suppress` has the rules.

    Frames with fewer boxes are filled up with scores of 0, which are never kept. The first call with its options copies
    them to the device; call once before a CUDA graph is captured.

    Raises:
        ValueError: for an unknown method, and where shapes do not fit.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; one of {', '.join(METHODS)} is needed")
    if scores.ndim != 2 or boxes.shape != (*scores.shape, 4) or labels.shape != scores.shape:
        raise ValueError(
            f"boxes {list(boxes.shape)}, scores {list(scores.shape)}, labels {list(labels.shape)}; "
            "[B, N, 4], [B, N] and [B, N] are needed"
        )
    options = _options(sigma, iou_threshold, score_threshold, scores.device)
    boxes, left, labels, origin = _candidates(boxes.float(), scores.float(), labels.int(), options[2])
    if class_agnostic:
        labels = torch.zeros_like(labels)
    columns = min(max_detections, left.shape[1])
    rows = torch.full((len(left), columns), -1, dtype=torch.int64, device=left.device)
    kept = torch.zeros((len(left), columns), dtype=torch.float32, device=left.device)
    code = METHODS[method]
    if rows.numel() == 0:
        pass
    elif code is None:
        _matrix(boxes, left, labels, options, rows, kept)
    elif uses_triton(implementation, left.device):
        from stages.suppress.batched_kernel import decay_triton

        decay_triton(boxes, left, labels, options, code, rows, kept)
    else:
        _decay(boxes, left, labels, options, method, rows, kept)
    if origin is not None:
        rows = torch.where(rows >= 0, origin.gather(1, rows.clamp(min=0)), rows)
    return Kept(rows, kept, (rows >= 0).sum(1))


@lru_cache(maxsize=64)
def _options(sigma: float, iou_threshold: float, score_threshold: float, device: torch.device) -> Tensor:
    """float64 [3] on the device; a score written as 0.7 reaches a threshold of 0.7."""
    score = torch.tensor(score_threshold, dtype=torch.float32).double()
    return torch.stack(
        [torch.tensor(sigma, dtype=torch.float64), torch.tensor(iou_threshold, dtype=torch.float64), score]
    ).to(device)


def _candidates(
    boxes: Tensor, scores: Tensor, labels: Tensor, threshold: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """What can be kept, in rising order of rows, scores of all else 0; and the rows [B, K] where some were left out."""
    able = (scores > 0) & (scores.double() >= threshold) & boxes.isfinite().all(2)
    left = torch.where(able, scores, 0.0)
    if scores.shape[1] <= CANDIDATES:
        return boxes.contiguous(), left.contiguous(), labels.contiguous(), None
    best = torch.sort(left, dim=1, descending=True, stable=True).indices[:, :CANDIDATES]
    rows = best.sort(1).values  # [B, K]
    return boxes.gather(1, rows[..., None].expand(-1, -1, 4)), left.gather(1, rows), labels.gather(1, rows), rows


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _overlaps(one: Tensor, labels_one: Tensor, other: Tensor, labels_other: Tensor) -> Tensor:
    """IoU of boxes float64 that broadcast against each other, 0 between labels."""
    width = torch.minimum(one[..., 2], other[..., 2]) - torch.maximum(one[..., 0], other[..., 0])
    height = torch.minimum(one[..., 3], other[..., 3]) - torch.maximum(one[..., 1], other[..., 1])
    overlap = width.clamp(min=0.0) * height.clamp(min=0.0) * (labels_one == labels_other)
    return overlap / (_areas(one) + _areas(other) - overlap).clamp(min=_NO_AREA)


def _decay(
    boxes: Tensor, scores: Tensor, labels: Tensor, options: Tensor, method: Method, rows: Tensor, kept: Tensor
) -> None:
    """The best of each frame is taken and what overlaps it loses, as often as there are columns; fills `rows`, `kept`.

    Bodla et al., Soft-NMS (2017), equations 2, 3 and 5.
    """
    boxes, left = boxes.double(), scores.double()
    sigma, iou_threshold, score_threshold = options.unbind()
    for column in range(rows.shape[1]):
        best = left.argmax(1, keepdim=True)  # [B, 1] of equal ones the first
        top = left.gather(1, best)
        rows[:, column] = torch.where(top > 0, best, -1)[:, 0]
        kept[:, column] = top[:, 0]
        left.scatter_(1, best, 0.0)
        box = boxes.gather(1, best[..., None].expand(-1, -1, 4))  # [B, 1, 4]
        iou = _overlaps(box, labels.gather(1, best), boxes, labels)  # [B, N]
        if method == "soft-gaussian":
            left *= torch.exp(-iou * iou / sigma)
        else:
            left *= torch.where(iou <= iou_threshold, 1.0, 1.0 - iou if method == "soft-linear" else 0.0)
        left = torch.where(left >= score_threshold, left, 0.0)


def _matrix(boxes: Tensor, scores: Tensor, labels: Tensor, options: Tensor, rows: Tensor, kept: Tensor) -> None:
    """Matrix NMS with a gaussian: Wang et al., SOLOv2 (2020), equation 5. Fills `rows`, `kept`."""
    sigma, _, score_threshold = options.unbind()
    order = torch.sort(scores, dim=1, descending=True, stable=True).indices
    boxes = boxes.double().gather(1, order[..., None].expand(-1, -1, 4))
    labels = labels.gather(1, order)
    iou = _overlaps(boxes[:, :, None], labels[:, :, None], boxes[:, None], labels[:, None]).triu(
        1
    )  # of j with better i
    worst = iou.amax(1)  # [B, N] each box's largest overlap with a better one
    exponent = torch.where(iou > 0, iou * iou - (worst * worst)[:, :, None], 0.0).amax(1).clamp(min=0.0)
    decayed = scores.double().gather(1, order) * torch.exp(-exponent / sigma)
    left = torch.zeros_like(decayed).scatter_(1, order, decayed)
    left = torch.where(left >= score_threshold, left, 0.0)
    ranked = torch.sort(left, dim=1, descending=True, stable=True)
    top, best = (column[:, : rows.shape[1]] for column in (ranked.values, ranked.indices))
    rows[...] = torch.where(top > 0, best, -1)
    kept[...] = top
