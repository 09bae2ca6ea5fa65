"""Distances as distributions: the box decoding that NanoDet and PicoDet share.

Generalised focal loss (Li et al. 2020, arXiv:2006.04388, equation 6): each side's distance is the expectation of a
discrete distribution over 0, 1, .., R strides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.messages import Float32
from stages.detect.layout import Candidates, Decode, best_class, cells, corners
from stages.models.backend import Signature
from stages.models.network_stage import Outputs

BINS = 8  # R + 1 in both families


def expected(bins: Float32) -> Float32:
    """Expectation [N, 4] of logits [N, 4 * BINS] over 0..BINS-1."""
    logits = bins.reshape(-1, 4, BINS)
    weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    return np.asarray(weights @ np.arange(BINS, dtype=np.float32) / weights.sum(axis=2), dtype=np.float32)


def decode(scores: Float32, bins: Float32, centres: Float32, strides: Float32, threshold: float) -> Candidates:
    """Best class of each cell whose score reaches the threshold.

    Args:
        scores: [A, C] in 0..1.
        bins: [A, 4 * BINS] logits of the distances to left, top, right and bottom, in strides.
        centres: [A, 2] in network pixels.
        strides: [A, 1].
        threshold: least class score.
    """
    rows, labels, best = best_class(scores, threshold)
    distances = expected(bins[rows]) * strides[rows]
    boxes = np.concatenate([centres[rows] - distances[:, :2], centres[rows] + distances[:, 2:]], axis=1)
    return Candidates(boxes, best, labels)


def pairs(signature: Signature, strides: Sequence[int]) -> list[tuple[int, int]] | None:
    """Indices of scores and bins of each stride, told apart by their shapes; None where the graph is another's."""
    height, width = signature.input_size
    if not height or len(signature.outputs) != 2 * len(strides):
        return None
    shapes = [port.shape for port in signature.outputs]
    found: list[tuple[int, int]] = []
    for rows, columns in cells(height, width, strides):
        of_stride = [i for i, shape in enumerate(shapes) if len(shape) == 3 and shape[1] == rows * columns]
        bins = next((i for i in reversed(of_stride) if shapes[i][2] == 4 * BINS), None)
        if len(of_stride) != 2 or bins is None:
            return None
        found.append((of_stride[0] if of_stride[1] == bins else of_stride[1], bins))
    return found if len({shapes[scores][2] for scores, _ in found}) == 1 else None


def classes(signature: Signature, strides: Sequence[int]) -> int | None:
    """Number of classes of a graph with these strides."""
    found = pairs(signature, strides)
    return None if found is None else signature.outputs[found[0][0]].shape[2]


def decoder(signature: Signature, grey: Outputs, strides: Sequence[int]) -> Decode:
    """The decoding of a graph with these strides; scores may come with or without their sigmoid."""
    found = pairs(signature, strides)
    assert found is not None
    grid, sizes = corners(*signature.input_size, strides)
    centres = (grid + 0.5) * sizes
    ends = np.cumsum([signature.outputs[scores].shape[1] for scores, _ in found])
    levels = [
        slice(end - signature.outputs[scores].shape[1], end) for end, (scores, _) in zip(ends, found, strict=True)
    ]
    are_logits = any((grey[scores] < 0).any() or (grey[scores] > 1).any() for scores, _ in found)

    def run(outputs: Outputs, threshold: float) -> Candidates:
        parts = []
        for (scores, bins), level in zip(found, levels, strict=True):
            values = sigmoid(outputs[scores][0]) if are_logits else outputs[scores][0]
            parts.append(decode(values, outputs[bins][0], centres[level], sizes[level], threshold))
        return Candidates(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.labels for part in parts]),
        )

    return run


def sigmoid(logits: Float32) -> Float32:
    """``1 / (1 + exp(-x))`` without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)), dtype=np.float32)
