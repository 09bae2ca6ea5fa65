"""YOLOX (Ge et al. 2021, arXiv:2107.08430, section 2): one box a cell, objectness times class score."""

from __future__ import annotations

import numpy as np

from pipeline.messages import Float32
from stages.detect.cells import yolox_boxes
from stages.detect.layout import Candidates, Decode, Layout, corners, count_cells
from stages.models.backend import Signature
from stages.models.network_stage import Outputs
from stages.models.preprocess import InputSpec

STRIDES = (8, 16, 32)


def decode(output: Float32, grid: Float32, strides: Float32, threshold: float) -> Candidates:
    """Best class of each cell whose score reaches the threshold.

    Args:
        output: [A, 5 + C]: offset of the centre from the cell's corner and log size, both in strides; objectness and
            class scores in 0..1.
        grid: [A, 2] corners of the cells, in cells.
        strides: [A, 1].
        threshold: least objectness times class score.
    """
    return Candidates(*yolox_boxes(output, grid, strides, threshold))


def _classes(signature: Signature) -> int | None:
    shapes = [port.shape for port in signature.outputs]
    height, width = signature.input_size
    if len(shapes) != 1 or len(shapes[0]) != 3 or not height:
        return None
    _, count, values = shapes[0]
    return values - 5 if count == count_cells(height, width, STRIDES) and values > 5 else None


def _picture(signature: Signature) -> InputSpec:
    height, width = signature.input_size
    return InputSpec(width=width, height=height, colours="bgr", fit="corner")


def _decoder(signature: Signature, grey: Outputs) -> Decode:
    grid, strides = corners(*signature.input_size, STRIDES)
    if _is_decoded(grey[0][0], grid, strides):
        return lambda outputs, threshold: decode(_raw(outputs[0][0], grid, strides), grid, strides, threshold)
    return lambda outputs, threshold: decode(outputs[0][0], grid, strides, threshold)


def _is_decoded(output: Float32, grid: Float32, strides: Float32) -> bool:
    """Whether the graph was exported with boxes in pixels: its centres then follow the grid."""
    centres = (grid + 0.5) * strides
    from_grid = np.abs(output[:, :2] - centres).mean()
    return bool(from_grid < np.abs(output[:, :2] * strides).mean() and from_grid < np.abs(centres).mean() / 2)


def _raw(output: Float32, grid: Float32, strides: Float32) -> Float32:
    """Boxes in pixels back to offsets and log sizes, so that one decoding serves both exports."""
    raw = output.copy()
    raw[:, :2] = output[:, :2] / strides - grid
    raw[:, 2:4] = np.log(np.maximum(output[:, 2:4] / strides, 1e-6))
    return raw


LAYOUT = Layout(
    shape="1 x cells of strides 8, 16, 32 x (4 box + 1 objectness + C classes)",
    classes=_classes,
    picture=_picture,
    decoder=_decoder,
)
