"""A quicker form of the Focus layer that YOLOv5 and YOLOX begin with.

Focus takes every second pixel of every second row, four times, and joins the four as channels. As exported, that is
eight strided slices and a join; as one space-to-depth, with the channels of the following convolution's weights in its
order, it gives the same numbers and takes a tenth of YOLOX-nano's time off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stages.models.openvino_runtime import opset, ov

_SLICES = ("Slice", "StridedSlice")
Blocks = list[tuple[int, int, int]]  # (channel, row, column) that each of the joined channels begins with


def merge_focus(model: ov.Model) -> bool:
    """Replace the model's Focus layer, where it has one. Tells whether it had; the model is changed in place."""
    for join in model.get_ordered_ops():
        if join.get_type_name() == "Concat" and join.get_input_size() == 4 and _comes_from_input(join, model):
            blocks = _blocks(join, model)
            convolutions = [target.get_node() for target in join.output(0).get_target_inputs()]
            if blocks is not None and all(_weights(node) is not None for node in convolutions):
                for convolution in convolutions:
                    _replace(convolution, model.input(0).get_node().output(0), blocks)
                model.validate_nodes_and_infer_types()
                return True
    return False


def _comes_from_input(join: ov.Node, model: ov.Model) -> bool:
    """Whether only slices stand between the model's picture and a join."""
    waiting = [value.get_node() for value in join.input_values()]
    while waiting:
        node = waiting.pop()
        if node.get_type_name() in _SLICES:
            waiting.append(node.input_value(0).get_node())
        elif node.get_friendly_name() != model.input(0).get_node().get_friendly_name():
            return False
    return True


def _blocks(join: ov.Node, model: ov.Model) -> Blocks | None:
    """What the joined channels hold, found by showing the slices a picture of numbers; None where it is no Focus."""
    parameter = model.input(0).get_node()
    shape = parameter.get_partial_shape()
    if shape.is_dynamic or len(shape) != 4 or shape[2].get_length() % 2 or shape[3].get_length() % 2:
        return None
    numbers = np.arange(np.prod(parameter.shape), dtype=np.float32).reshape(parameter.shape)
    if numbers.size >= 2**24:  # past which float32 does not tell whole numbers apart
        return None
    joined = ov.Tensor(ov.Type.f32, join.get_output_shape(0))
    ov.Model([join.output(0)], [parameter]).evaluate([joined], [ov.Tensor(numbers)])
    found = [tuple(int(i) for i in np.unravel_index(int(plane[0, 0]), numbers.shape)[1:]) for plane in joined.data[0]]
    halves = all(
        max(row, column) < 2 and np.array_equal(plane, numbers[0, channel, row::2, column::2])
        for plane, (channel, row, column) in zip(joined.data[0], found, strict=True)
    )
    complete = len(set(found)) == len(found) == 4 * numbers.shape[1]
    return [(channel, row, column) for channel, row, column in found] if halves and complete else None


def _weights(node: ov.Node) -> npt.NDArray[np.float32] | None:
    """A convolution's constant weights [outputs, inputs, h, w]; None where the node is none or has others."""
    if node.get_type_name() != "Convolution":
        return None
    weights: Any = node.input_value(1).get_node()
    if weights.get_type_name() == "Convert":  # stored as fp16
        weights = weights.input_value(0).get_node()
    return weights.data.astype(np.float32) if weights.get_type_name() == "Constant" else None


def _replace(convolution: ov.Node, picture: Any, blocks: Blocks) -> None:
    """Give a convolution the picture through space-to-depth, its weights in that operation's order of channels."""
    weights = _weights(convolution)
    assert weights is not None
    channels = len(blocks) // 4
    ordered = np.empty_like(weights)
    for i, (channel, row, column) in enumerate(blocks):
        ordered[:, (row * 2 + column) * channels + channel] = weights[:, i]
    settings = convolution.get_attributes()
    new = opset.convolution(
        opset.space_to_depth(picture, "blocks_first", 2),
        opset.constant(ordered),
        settings["strides"],
        settings["pads_begin"],
        settings["pads_end"],
        settings["dilations"],
        settings["auto_pad"],
    )
    new.set_friendly_name(convolution.get_friendly_name())
    for target in convolution.output(0).get_target_inputs():
        target.replace_source_output(new.output(0))
