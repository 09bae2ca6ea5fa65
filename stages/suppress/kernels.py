"""The compiled loops of suppression; `reference` says the same slowly.

A row of ``rows`` [6, N] holds one quantity of all boxes: x1, y1, x2, y2, area, label. All is float64, so that order and
ties do not hang on rounding.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import types

from pipeline.messages import Float32, Int32, Int64
from stages.compiled import compiled, inlined, read_only, several

Float64 = npt.NDArray[np.float64]

HARD, SOFT_LINEAR, SOFT_GAUSSIAN = 0, 1, 2

_NO_AREA = 1e-30  # stands in for a union of nothing, where the overlap is nothing too


@inlined
def _overlaps(rows: Float64, best: int, count: int, ious: Float64) -> None:
    """Box `best` against the first `count` boxes of its label, without a branch, so that it runs in vector units."""
    for j in range(count):
        width = min(rows[2, best], rows[2, j]) - max(rows[0, best], rows[0, j])
        height = min(rows[3, best], rows[3, j]) - max(rows[1, best], rows[1, j])
        overlap = max(width, 0.0) * max(height, 0.0) * (rows[5, best] == rows[5, j])
        ious[j] = overlap / max(rows[4, best] + rows[4, j] - overlap, _NO_AREA)


@inlined
def _weight(method: int, iou: float, sigma: float, iou_threshold: float) -> float:
    """What an overlap leaves of a score."""
    if method == SOFT_GAUSSIAN:
        return math.exp(-iou * iou / sigma)
    if iou <= iou_threshold:
        return 1.0
    return 1.0 - iou if method == SOFT_LINEAR else 0.0


@inlined
def _compact(rows: Float64, scores: Float64, index: Int64, count: int) -> int:
    """Moves the boxes still waiting to the front, their order kept, and counts them."""
    waiting = 0
    for j in range(count):
        if scores[j] > 0.0:
            for quantity in range(len(rows)):
                rows[quantity, waiting] = rows[quantity, j]
            scores[waiting] = scores[j]
            index[waiting] = index[j]
            waiting += 1
    return waiting


@compiled(types.int64[::1](read_only("float32", 2), read_only("float32", 1), types.float64))
def candidates(boxes: Float32, scores: Float32, score_threshold: float) -> Int64:
    """Rows of boxes [N, 4] that are finite and whose score is positive and reaches the threshold, in rising order."""
    rows = np.empty(len(scores), np.int64)
    count = 0
    for i in range(len(scores)):
        finite = True
        for side in range(4):
            finite &= np.isfinite(boxes[i, side])
        rows[count] = i
        count += finite and scores[i] > 0.0 and scores[i] >= score_threshold
    return rows[:count]


@compiled(
    several(types.float64[:, ::1], types.float64[::1])(
        read_only("float32", 2),
        read_only("float32", 1),
        read_only("int32", 1),
        read_only("int64", 1),
        types.boolean,
    )
)
def gather(
    boxes: Float32,  # [N, 4]
    scores: Float32,  # [N]
    labels: Int32,  # [N]
    chosen: Int64,  # [K]
    class_agnostic: bool,
) -> tuple[Float64, Float64]:
    """The quantities [6, K] and scores [K] of the chosen rows; all of one label where they are `class_agnostic`."""
    rows, left = np.empty((6, len(chosen))), np.empty(len(chosen))
    for k in range(len(chosen)):
        i = chosen[k]
        for side in range(4):
            rows[side, k] = boxes[i, side]
        rows[4, k] = (rows[2, k] - rows[0, k]) * (rows[3, k] - rows[1, k])
        rows[5, k] = 0.0 if class_agnostic else np.float64(labels[i])
        left[k] = scores[i]
    return rows, left


@compiled("Tuple((int64[::1], float64[::1]))(float64[:, ::1], float64[::1], int64, float64, float64, float64, int64)")
def decay(
    rows: Float64,  # [6, N] overwritten
    scores: Float64,  # [N] all > 0 and >= score_threshold; overwritten, 0 marks a box that is picked or dropped
    method: int,
    sigma: float,
    iou_threshold: float,
    score_threshold: float,
    max_detections: int,
) -> tuple[Int64, Float64]:
    """Boxes in the order they are picked [K] and their scores [K]: the best is taken, what overlaps it loses, again.

    Scores only fall, so the picks come in falling order, a box below the threshold can never be picked again, and
    stopping after `max_detections` loses nothing. Boxes stay in their order, so that ties fall to the lower one.
    """
    count = waiting = len(scores)
    index = np.arange(count)
    ious = np.empty(count)
    picked = np.empty(min(count, max_detections), dtype=np.int64)
    picked_scores = np.empty(len(picked))
    taken = 0
    while waiting > 0 and taken < len(picked):
        if 2 * waiting < count:
            count = _compact(rows, scores, index, count)
        best = 0
        for j in range(1, count):
            if scores[j] > scores[best]:
                best = j
        picked[taken] = index[best]
        picked_scores[taken] = scores[best]
        taken += 1
        scores[best] = 0.0
        waiting -= 1
        _overlaps(rows, best, count, ious)
        for j in range(count):
            if ious[j] > 0.0 and scores[j] > 0.0:
                scores[j] *= _weight(method, ious[j], sigma, iou_threshold)
                if not (scores[j] > 0.0 and scores[j] >= score_threshold):
                    scores[j] = 0.0
                    waiting -= 1
    return picked[:taken], picked_scores[:taken]


@compiled("float64[::1](float64[:, ::1], float64[::1], float64)")
def matrix_decay(rows: Float64, scores: Float64, sigma: float) -> Float64:
    """Decayed scores [N] of boxes sorted by falling score: matrix NMS with a gaussian.

    Wang et al., SOLOv2 (2020), equation 5. The exponential falls with its argument, so its minimum over all better
    boxes is taken of the argument, and a box costs one exponential.
    """
    count = len(scores)
    ious = np.empty(count)
    worst = np.zeros(count)  # each box's largest overlap with a better one
    decayed = np.empty(count)
    for j in range(count):
        _overlaps(rows, j, j, ious)
        exponent = 0.0
        for i in range(j):
            worst[j] = max(worst[j], ious[i])
            if ious[i] > 0.0:
                exponent = max(exponent, ious[i] * ious[i] - worst[i] * worst[i])
        decayed[j] = scores[j] * math.exp(-exponent / sigma)
    return decayed


@compiled(
    several(types.int64[::1], types.float32[::1], types.int64[::1])(
        read_only("float32", 2),
        read_only("float32", 1),
        read_only("int32", 1),
        read_only("int64", 1),
        types.int64,
        types.float64,
        types.float64,
        types.float64,
        types.int64,
        types.boolean,
    )
)
def decay_all(
    boxes: Float32,  # [N, 4]
    scores: Float32,  # [N]
    labels: Int32,  # [N]
    bounds: Int64,  # [B + 1] rows bounds[i] to bounds[i + 1] are frame i's
    method: int,
    sigma: float,
    iou_threshold: float,
    score_threshold: float,
    max_detections: int,
    class_agnostic: bool,
) -> tuple[Int64, Float32, Int64]:
    """`candidates`, `gather` and `decay` frame by frame: rows kept [K], their scores [K], and their bounds [B + 1]."""
    kept, left = np.empty(len(scores), np.int64), np.empty(len(scores), np.float32)
    kept_bounds = np.zeros(len(bounds), np.int64)
    count = 0
    for i in range(len(bounds) - 1):
        first, last = bounds[i], bounds[i + 1]
        rows = candidates(boxes[first:last], scores[first:last], score_threshold)
        columns, decayed = gather(boxes[first:last], scores[first:last], labels[first:last], rows, class_agnostic)
        picked, picked_scores = decay(columns, decayed, method, sigma, iou_threshold, score_threshold, max_detections)
        for k in range(len(picked)):
            kept[count] = first + rows[picked[k]]
            left[count] = picked_scores[k]
            count += 1
        kept_bounds[i + 1] = count
    return kept[:count].copy(), left[:count].copy(), kept_bounds
