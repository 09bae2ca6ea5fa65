"""everyframe-nano: boxes in pixels, class scores, mask coefficients, prototype masks and a semantic map in one pass.

Outputs are told apart by shape: boxes [1, A, 4], scores [1, A, things], coefficients [1, A, K], prototypes
[1, K, H/4, W/4], semantic [1, S, H/4, W/4], where the boxes come first among equals.
"""

from __future__ import annotations

from typing import NamedTuple

from stages.detect.layout import Candidates, Decode, Layout, MaskOutputs, best_class, count_cells
from stages.models.backend import Signature
from stages.models.network_stage import Outputs
from stages.models.preprocess import InputSpec

STRIDES = (8, 16, 32)
MASK_STRIDE = 4


class Roles(NamedTuple):
    """Index of each output."""

    boxes: int
    scores: int
    coefficients: int
    prototypes: int
    semantic: int


def roles(signature: Signature) -> Roles | None:
    """Which output is which; None where the graph is another's."""
    height, width = signature.input_size
    if not height or len(signature.outputs) != 5:
        return None
    shapes = [port.shape for port in signature.outputs]
    anchors = count_cells(height, width, STRIDES)
    rows = [i for i, shape in enumerate(shapes) if len(shape) == 3 and shape[1] == anchors]
    size = (height // MASK_STRIDE, width // MASK_STRIDE)
    maps = [i for i, shape in enumerate(shapes) if len(shape) == 4 and shape[2:] == size]
    boxes = next((i for i in rows if shapes[i][2] == 4), None)
    if len(rows) != 3 or len(maps) != 2 or boxes is None:
        return None
    return _pair(boxes, [i for i in rows if i != boxes], maps, shapes)


def _pair(boxes: int, rows: list[int], maps: list[int], shapes: list[tuple[int, ...]]) -> Roles | None:
    """Coefficients and prototypes are the pair with the same number of channels; things are fewer than classes."""
    for scores, coefficients in (rows, rows[::-1]):
        for prototypes, semantic in (maps, maps[::-1]):
            fits = shapes[coefficients][2] == shapes[prototypes][1] and shapes[scores][2] <= shapes[semantic][1]
            if fits:
                return Roles(boxes, scores, coefficients, prototypes, semantic)
    return None


def decode(outputs: Outputs, indices: Roles, threshold: float) -> Candidates:
    """Best class of each cell whose score reaches the threshold."""
    rows, labels, scores = best_class(outputs[indices.scores][0], threshold)
    return Candidates(outputs[indices.boxes][0][rows], scores, labels, outputs[indices.coefficients][0][rows])


def _classes(signature: Signature) -> int | None:
    found = roles(signature)
    return None if found is None else signature.outputs[found.scores].shape[2]


def _picture(signature: Signature) -> InputSpec:
    height, width = signature.input_size
    return InputSpec(width=width, height=height, colours="rgb", fit="corner")


def _decoder(signature: Signature, grey: Outputs) -> Decode:
    del grey
    indices = roles(signature)
    assert indices is not None
    return lambda outputs, threshold: decode(outputs, indices, threshold)


def _masks(signature: Signature) -> MaskOutputs | None:
    found = roles(signature)
    return None if found is None else MaskOutputs(found.prototypes, found.semantic)


LAYOUT = Layout(
    shape="1 x cells of strides 8, 16, 32 x 4 box, x C classes, x K coefficients; 1 x K and 1 x S maps at 1/4",
    classes=_classes,
    picture=_picture,
    decoder=_decoder,
    masks=_masks,
)
