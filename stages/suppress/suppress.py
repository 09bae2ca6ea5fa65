"""Suppression of one frame's boxes as a pure function."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.messages import Float32, Int32, Int64
from stages.suppress import kernels

Float64 = npt.NDArray[np.float64]
Method = Literal["soft-gaussian", "soft-linear", "hard", "matrix"]
METHODS: dict[Method, int | None] = {
    "soft-gaussian": kernels.SOFT_GAUSSIAN,
    "soft-linear": kernels.SOFT_LINEAR,
    "hard": kernels.HARD,
    "matrix": None,
}

# Suppression costs the square of the candidates. More than this many above the threshold in one frame come from a
# threshold near zero; the rest, each scored below all of these, is left out.
CANDIDATES = 1000


def suppress(
    boxes: Float32,  # [N, 4] xyxy
    scores: Float32,  # [N]
    labels: Int32,  # [N]
    *,
    method: Method = "soft-gaussian",
    sigma: float = 0.5,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.1,
    max_detections: int = 100,
    class_agnostic: bool = False,
) -> tuple[Int64, Float32]:
    """Rows kept [K], best first, and what suppression left of their scores [K].

    Only boxes of one label act on each other, unless `class_agnostic`. Equal scores fall to the lower row. Hard and
    soft-linear act on overlaps above `iou_threshold`; soft-gaussian weighs by ``exp(-iou² / sigma)``, matrix NMS too.
    Exact for the `CANDIDATES` best rows; boxes that are not finite are dropped.

    Bodla et al., Soft-NMS (2017); Wang et al., SOLOv2 (2020). Raises `ValueError` for an unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; one of {', '.join(METHODS)} is needed")
    score_threshold = _as_scores_are(score_threshold)
    boxes, scores = np.ascontiguousarray(boxes, np.float32), np.ascontiguousarray(scores, np.float32)
    labels = np.ascontiguousarray(labels, np.int32)
    rows = _candidates(boxes, scores, score_threshold)
    if len(rows) == 0:
        return rows, np.zeros(0, dtype=np.float32)
    columns, left = kernels.gather(boxes, scores, labels, rows, class_agnostic)
    code = METHODS[method]
    if code is None:
        kept, left = _matrix(columns, left, sigma, score_threshold, max_detections)
    else:
        kept, left = kernels.decay(columns, left, code, sigma, iou_threshold, score_threshold, max_detections)
    return rows[kept], left.astype(np.float32)


def suppress_all(
    boxes: Float32,  # [N, 4] xyxy
    scores: Float32,  # [N]
    labels: Int32,  # [N]
    bounds: Int64,  # [B + 1] rows bounds[i] to bounds[i + 1] are frame i's
    *,
    method: Method = "soft-gaussian",
    sigma: float = 0.5,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.1,
    max_detections: int = 100,
    class_agnostic: bool = False,
) -> tuple[Int64, Float32, Int64]:
    """`suppress` of every frame of a batch: rows kept [K], their scores [K], and where each frame's begin [B + 1].

    One compiled call, except for matrix NMS and for frames of more than `CANDIDATES` boxes.
    """
    code = METHODS.get(method)
    if code is not None and int(np.diff(bounds).max(initial=0)) <= CANDIDATES:
        return kernels.decay_all(
            boxes,
            scores,
            labels,
            bounds,
            code,
            sigma,
            iou_threshold,
            _as_scores_are(score_threshold),
            max_detections,
            class_agnostic,
        )
    kept, left = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.float32)]
    kept_bounds = np.zeros_like(bounds)
    for i in range(len(bounds) - 1):
        of_frame = slice(int(bounds[i]), int(bounds[i + 1]))
        rows, remaining = suppress(
            boxes[of_frame],
            scores[of_frame],
            labels[of_frame],
            method=method,
            sigma=sigma,
            iou_threshold=iou_threshold,
            score_threshold=score_threshold,
            max_detections=max_detections,
            class_agnostic=class_agnostic,
        )
        kept.append(rows + bounds[i])
        left.append(remaining)
        kept_bounds[i + 1] = kept_bounds[i] + len(rows)
    return np.concatenate(kept), np.concatenate(left), kept_bounds


def _as_scores_are(threshold: float) -> float:
    """The threshold in the precision of scores: one written as 0.7 reaches a threshold of 0.7."""
    return float(np.float32(threshold))


def _candidates(boxes: Float32, scores: Float32, score_threshold: float) -> Int64:
    """Rows that can be kept, in rising order. Scores only fall and act downwards only, so the others change nothing."""
    rows = kernels.candidates(boxes, scores, score_threshold)
    if len(rows) > CANDIDATES:
        best = np.argsort(-scores[rows], kind="stable")[:CANDIDATES]
        rows = np.sort(rows[best])
    return rows


def _matrix(
    columns: Float64, scores: Float64, sigma: float, score_threshold: float, max_detections: int
) -> tuple[Int64, Float64]:
    order = np.argsort(-scores, kind="stable")
    left = np.empty_like(scores)
    left[order] = kernels.matrix_decay(np.ascontiguousarray(columns[:, order]), scores[order], sigma)
    ranked = np.argsort(-left, kind="stable")
    kept = ranked[(left[ranked] > 0) & (left[ranked] >= score_threshold)][:max_detections]
    return kept, left[kept]
