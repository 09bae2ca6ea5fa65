"""Which track sees which box."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types
from scipy.optimize import linear_sum_assignment

from pipeline.messages import Float32, Int32, Int64
from stages.compiled import compiled, read_only

Float64 = npt.NDArray[np.float64]


_BOXES, _LABELS, _ROWS = read_only("float32", 2), read_only("int32", 1), read_only("int64", 1)


@compiled(types.float64[:, ::1](_BOXES, _LABELS, _ROWS, _BOXES, _LABELS, _ROWS, types.float64))
def gated_iou(
    track_boxes: Float32,  # [M, 4] xyxy
    track_labels: Int32,  # [M]
    rows: Int64,  # [R] tracks that take part
    boxes: Float32,  # [N, 4] xyxy
    labels: Int32,  # [N]
    columns: Int64,  # [C] boxes that take part
    smallest: float,
) -> Float64:
    """Overlap over union [R, C]; 0 where it is below `smallest` or the labels differ."""
    ious = np.zeros((len(rows), len(columns)))
    for r in range(len(rows)):
        a = track_boxes[rows[r]]
        for c in range(len(columns)):
            b = boxes[columns[c]]
            width = min(a[2], b[2]) - max(a[0], b[0])
            height = min(a[3], b[3]) - max(a[1], b[1])
            if width > 0.0 and height > 0.0 and track_labels[rows[r]] == labels[columns[c]]:
                overlap = np.float64(width) * np.float64(height)
                union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap
                if overlap >= smallest * union:
                    ious[r, c] = overlap / union
    return ious


def assign(ious: Float64) -> tuple[Int64, Int64]:
    """Rows and columns [K] of the pairs whose overlaps [R, C] sum to the most; a pair that does not overlap is none."""
    rows, columns = linear_sum_assignment(ious, maximize=True)
    overlap = ious[rows, columns] > 0
    return rows[overlap], columns[overlap]
