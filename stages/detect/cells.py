"""The compiled loops that turn a network's thousands of cells into a few candidates, and bring these to the source."""

from __future__ import annotations

import numpy as np
from numba import types

from pipeline.messages import Float32, Int32, Int64
from stages.compiled import compiled, read_only, several

_F32, _BOXES = types.float32, read_only("float32", 2)
_OUTPUT = read_only("float32", 2, layout="A")  # as it left the network, which may have it lie the other way
MOST_LOG_SIZE = 10.0  # e^10 strides: beyond any picture, short of inf
_ROWS, _LABELS, _SCORES = types.int64[::1], types.int32[::1], types.float32[::1]


@compiled(several(_ROWS, _LABELS, _SCORES)(_OUTPUT, _F32))
def best_cells(output: Float32, threshold: float) -> tuple[Int64, Int32, Float32]:
    """Rows of `output` [A, 5 + C] whose objectness (column 4) times best class score reaches the threshold.

    Scores lie in 0..1, so that a row whose objectness alone is below it need not be read further. Gives the rows, their
    classes, the first of equals, and their scores.
    """
    rows, labels = np.empty(len(output), np.int64), np.empty(len(output), np.int32)
    scores = np.empty(len(output), np.float32)
    count = 0
    for i in range(len(output)):
        objectness = output[i, 4]
        if not objectness >= threshold:
            continue
        best = 5
        for c in range(6, output.shape[1]):
            if output[i, c] > output[i, best]:
                best = c
        score = objectness * output[i, best]
        if score >= threshold:
            rows[count], labels[count], scores[count] = i, best - 5, score
            count += 1
    return rows[:count], labels[:count], scores[:count]


@compiled(several(_ROWS, _LABELS, _SCORES)(_OUTPUT, _F32))
def best_classes(scores: Float32, threshold: float) -> tuple[Int64, Int32, Float32]:
    """Rows of `scores` [A, C] whose best class reaches the threshold: their indices, classes and scores."""
    rows, labels = np.empty(len(scores), np.int64), np.empty(len(scores), np.int32)
    best_scores = np.empty(len(scores), np.float32)
    count = 0
    for i in range(len(scores)):
        best = 0
        for c in range(1, scores.shape[1]):
            if scores[i, c] > scores[i, best]:
                best = c
        if scores[i, best] >= threshold:
            rows[count], labels[count], best_scores[count] = i, best, scores[i, best]
            count += 1
    return rows[:count], labels[:count], best_scores[:count]


@compiled(several(types.float32[:, ::1], _SCORES, _LABELS)(_OUTPUT, _BOXES, _BOXES, _F32))
def yolox_boxes(output: Float32, grid: Float32, strides: Float32, threshold: float) -> tuple[Float32, Float32, Int32]:
    """Boxes [N, 4], scores and classes of the rows that `best_cells` picks, as `stages.detect.yolox` says."""
    rows, labels, scores = best_cells(output, threshold)
    boxes = np.empty((len(rows), 4), np.float32)
    for k in range(len(rows)):
        i = rows[k]
        for axis in range(2):
            centre = (output[i, axis] + grid[i, axis]) * strides[i, 0]
            half = np.exp(min(output[i, 2 + axis], np.float32(MOST_LOG_SIZE))) * strides[i, 0] / np.float32(2.0)
            boxes[k, axis], boxes[k, 2 + axis] = centre - half, centre + half
    return boxes, scores, labels


@compiled(several(types.float32[:, ::1], _ROWS)(_BOXES, _F32, _F32, _F32, _F32, _F32, _F32))
def placed(
    boxes: Float32,  # [N, 4] xyxy in network pixels
    scale_x: float,
    scale_y: float,
    offset_x: float,
    offset_y: float,
    width: float,
    height: float,
) -> tuple[Float32, Int64]:
    """Boxes [K, 4] in pixels of a source of `width` x `height`, cut to it, and the rows they were.

    Those without area there, or with a side that is not a number, are left out.
    """
    found, rows = np.empty((len(boxes), 4), np.float32), np.empty(len(boxes), np.int64)
    count = 0
    for i in range(len(boxes)):
        for side in range(4):
            scale, offset, most = (scale_x, offset_x, width) if side % 2 == 0 else (scale_y, offset_y, height)
            at = boxes[i, side] * scale + offset
            if at < 0.0:
                at = np.float32(0.0)
            elif at > most:
                at = most
            found[count, side] = at
        if found[count, 2] > found[count, 0] and found[count, 3] > found[count, 1]:
            rows[count] = i
            count += 1
    return found[:count], rows[:count]
