"""Suppression as the papers write it, slowly: what `kernels` must equal to 1e-6.

Hard and soft: Bodla et al., Soft-NMS (2017), equations 2, 3 and 5. Matrix: Wang et al., SOLOv2 (2020), equation 5.
Overlap acts above `iou_threshold`; equal scores fall to the lower index; a score of 0 is never kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.messages import Float32, Int32, Int64
from stages.suppress.suppress import Method

Float64 = npt.NDArray[np.float64]


def suppress_slowly(
    boxes: Float32,  # [N, 4]
    scores: Float32,  # [N]
    labels: Int32,  # [N]
    *,
    method: Method,
    sigma: float,
    iou_threshold: float,
    score_threshold: float,
    max_detections: int,
) -> tuple[Int64, Float64]:
    """Rows kept [K], best first, and their scores [K]."""
    overlaps = iou_matrix(boxes) * (labels[:, None] == labels[None, :])
    left = scores.astype(np.float64)
    if method == "matrix":
        left = _matrix(left, overlaps, sigma)
    else:
        left = _in_turn(left, overlaps, method, sigma, iou_threshold)
    order = np.argsort(-left, kind="stable")
    kept = order[(left[order] > 0) & (left[order] >= score_threshold)][:max_detections]
    return kept, left[kept]


def iou_matrix(boxes: Float32) -> Float64:
    """Overlap of every box of [N, 4] with every other over their union [N, N]."""
    b = boxes.astype(np.float64)
    top_left = np.maximum(b[:, None, :2], b[None, :, :2])  # [N, N, 2]
    bottom_right = np.minimum(b[:, None, 2:], b[None, :, 2:])
    overlap = np.clip(bottom_right - top_left, 0, None).prod(axis=2)  # [N, N]
    area = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])  # [N]
    union = area[:, None] + area[None, :] - overlap
    return np.where(overlap > 0, overlap / np.where(overlap > 0, union, 1.0), 0.0)


def _in_turn(scores: Float64, overlaps: Float64, method: Method, sigma: float, iou_threshold: float) -> Float64:
    left = scores.copy()
    waiting = np.ones(len(scores), dtype=bool)
    while waiting.any():
        best = int(np.argmax(np.where(waiting, left, -np.inf)))
        waiting[best] = False
        weights = _weights(overlaps[best], method, sigma, iou_threshold)
        left[waiting] *= weights[waiting]
    return left


def _weights(iou: Float64, method: Method, sigma: float, iou_threshold: float) -> Float64:
    weights: dict[str, npt.NDArray[Any]] = {
        "soft-gaussian": np.exp(-(iou**2) / sigma),
        "soft-linear": np.where(iou > iou_threshold, 1 - iou, 1.0),
        "hard": np.where(iou > iou_threshold, 0.0, 1.0),
    }
    return weights[method]


def _matrix(scores: Float64, overlaps: Float64, sigma: float) -> Float64:
    order = np.argsort(-scores, kind="stable")
    better = np.triu(overlaps[order][:, order], k=1)  # [i, j]: of j with a better i
    compensation = better.max(axis=0, initial=0.0)  # [i]
    decays = np.exp(-(better**2 - compensation[:, None] ** 2) / sigma)
    left = np.empty_like(scores)
    left[order] = scores[order] * decays.min(axis=0, initial=1.0)
    return left
