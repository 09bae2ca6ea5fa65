"""FastestDet (dog-qiuqiu/FastestDet): one box a cell of a single map at stride 16."""

from __future__ import annotations

import numpy as np

from pipeline.messages import Float32
from stages.detect.gfl import sigmoid
from stages.detect.layout import Candidates, Decode, Layout, from_centres
from stages.models.backend import Normalisation, Signature
from stages.models.network_stage import Outputs
from stages.models.preprocess import InputSpec

STRIDE = 16
# The share of objectness in the score, and of the class; upstream's utils/tool.py.
_OBJECT_POWER, _CLASS_POWER = 0.6, 0.4


def decode(output: Float32, threshold: float) -> Candidates:
    """Best class of each cell whose score reaches the threshold.

    Args:
        output: [5 + C, h, w]: objectness in 0..1; tanh of the offset from the cell's corner in cells and sigmoid of the
            size in pictures, both to be taken; class scores in 0..1.
        threshold: least ``objectness ** 0.6 * class ** 0.4``.
    """
    rows, columns = output.shape[1:]
    values = output.reshape(output.shape[0], -1)  # [5 + C, h * w]
    cells = np.flatnonzero(values[0] ** _OBJECT_POWER >= threshold)  # no class score is above 1, so nothing is lost
    kept = values[:, cells]
    labels = kept[5:].argmax(axis=0)
    best = kept[5 + labels, np.arange(len(cells))]
    scores = kept[0] ** _OBJECT_POWER * best**_CLASS_POWER
    strong = np.flatnonzero(scores >= threshold)
    cells, kept = cells[strong], kept[:, strong]
    corners = np.stack([cells % columns, cells // columns], axis=1)
    centres = (np.tanh(kept[1:3]).T + corners) * STRIDE
    sizes = sigmoid(kept[3:5]).T * np.array([columns, rows]) * STRIDE
    boxes = from_centres(centres.astype(np.float32), sizes.astype(np.float32))
    return Candidates(boxes, scores[strong], labels[strong].astype(np.int32))


def _classes(signature: Signature) -> int | None:
    height, width = signature.input_size
    shapes = [port.shape for port in signature.outputs]
    if not height or len(shapes) != 1 or len(shapes[0]) != 4:
        return None
    _, values, rows, columns = shapes[0]
    return values - 5 if (rows * STRIDE, columns * STRIDE) == (height, width) and values > 5 else None


def _picture(signature: Signature) -> InputSpec:
    height, width = signature.input_size
    normalise = Normalisation(deviation=(255.0, 255.0, 255.0))
    return InputSpec(width=width, height=height, colours="bgr", fit="stretch", normalise=normalise)


def _decoder(signature: Signature, grey: Outputs) -> Decode:
    del signature, grey
    return lambda outputs, threshold: decode(outputs[0][0], threshold)


LAYOUT = Layout(
    shape="1 x (1 objectness + 4 box + C classes) x H/16 x W/16",
    classes=_classes,
    picture=_picture,
    decoder=_decoder,
)
