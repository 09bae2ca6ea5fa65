"""YOLO as Ultralytics exports it (docs.ultralytics.com/modes/export): boxes as centre and size, in pixels.

Two forms: from version 8 on [1, 4 + C, A], class scores alone, one box a cell; version 5 [1, 3 * A, 5 + C], objectness
times class score, three anchors a cell.
"""

from __future__ import annotations

import numpy as np

from pipeline.messages import Float32
from stages.detect.cells import best_cells
from stages.detect.layout import Candidates, Decode, Layout, count_cells, from_centres
from stages.models.backend import Normalisation, Signature
from stages.models.network_stage import Outputs
from stages.models.preprocess import InputSpec

STRIDES = ((8, 16, 32), (8, 16, 32, 64))  # the usual networks, and those with a sixth level
ANCHORS = 3


def decode(output: Float32, threshold: float) -> Candidates:
    """Best class of each cell of [4 + C, A]: centre, size in pixels, class scores in 0..1."""
    best = output[4:].max(axis=0)  # along rows of A: the order it lies in memory
    columns = np.flatnonzero(best >= threshold)
    kept = output[:, columns]
    labels = kept[4:].argmax(axis=0).astype(np.int32)
    return Candidates(from_centres(kept[:2].T, kept[2:4].T), best[columns], labels)


def decode_with_objectness(output: Float32, threshold: float) -> Candidates:
    """Best class of each row of [A, 5 + C]: centre, size in pixels, objectness and class scores in 0..1."""
    rows, labels, scores = best_cells(output, threshold)
    kept = output[rows, :4]
    return Candidates(from_centres(kept[:, :2], kept[:, 2:]), scores, labels)


def _output(signature: Signature) -> tuple[int, bool] | None:
    """Number of classes, and whether there is an objectness."""
    height, width = signature.input_size
    shapes = [port.shape for port in signature.outputs]
    if not height or len(shapes) != 1 or len(shapes[0]) != 3:
        return None
    _, rows, columns = shapes[0]
    counts = [count_cells(height, width, strides) for strides in STRIDES]
    if columns in counts and rows > 4:
        return rows - 4, False
    if rows in [ANCHORS * count for count in counts] and columns > 5:
        return columns - 5, True
    return None


def _classes(signature: Signature) -> int | None:
    found = _output(signature)
    return None if found is None else found[0]


def _picture(signature: Signature) -> InputSpec:
    height, width = signature.input_size
    normalise = Normalisation(deviation=(255.0, 255.0, 255.0))
    return InputSpec(width=width, height=height, colours="rgb", fit="centre", normalise=normalise)


def _decoder(signature: Signature, grey: Outputs) -> Decode:
    del grey
    found = _output(signature)
    assert found is not None
    form = decode_with_objectness if found[1] else decode
    return lambda outputs, threshold: form(outputs[0][0], threshold)


LAYOUT = Layout(
    shape="1 x (4 box + C classes) x cells of strides 8, 16, 32, or 1 x 3 anchors of those x (4 box + 1 + C classes)",
    classes=_classes,
    picture=_picture,
    decoder=_decoder,
)
