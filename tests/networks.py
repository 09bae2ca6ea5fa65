"""Tiny ONNX files, made where a test needs one: a graph's shapes and values without any weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 13


def save(graph: onnx.GraphProto, path: Path) -> Path:
    """A graph as a checked ONNX file."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def constant(path: Path, *, picture: Sequence[int | str], outputs: Sequence[np.ndarray], prefix: str = "any") -> Path:
    """A network that gives `outputs` whatever it is shown, [1, ...] each, and adds the picture's mean times zero."""
    nodes = [
        helper.make_node("ReduceMean", [f"{prefix}_in"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    values = [numpy_helper.from_array(np.float32(0), "zero")]
    ports = []
    for i, array in enumerate(outputs):
        name = f"{prefix}_out_{i}"
        values.append(numpy_helper.from_array(array.astype(np.float32), f"value_{i}"))
        nodes.append(helper.make_node("Add", [f"value_{i}", "nothing"], [name]))
        ports.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(array.shape)))
    inputs = [helper.make_tensor_value_info(f"{prefix}_in", TensorProto.FLOAT, list(picture))]
    return save(helper.make_graph(nodes, "constant", inputs, ports, values), path)


def channel_means(path: Path, *, picture: Sequence[int | str] = (1, 3, 8, 12), channels_last: bool = False) -> Path:
    """A network that gives the mean [N, 3] of each channel of its picture, after a convolution that changes nothing."""
    identity = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
    turn = [helper.make_node("Transpose", ["in"], ["turned"], perm=[0, 3, 1, 2])] if channels_last else []
    nodes = [
        *turn,
        helper.make_node("Conv", ["turned" if channels_last else "in", "weight"], ["same"]),
        helper.make_node("ReduceMean", ["same"], ["means"], axes=[2, 3], keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info("in", TensorProto.FLOAT, list(picture))]
    outputs = [helper.make_tensor_value_info("means", TensorProto.FLOAT, [picture[0], 3])]
    return save(helper.make_graph(nodes, "means", inputs, outputs, [numpy_helper.from_array(identity, "weight")]), path)


def renamed(source: Path, path: Path) -> Path:
    """A copy of a network with every tensor and node under another name."""
    model = onnx.load(str(source))
    graph = model.graph
    names: dict[str, str] = {"": ""}

    def other(name: str) -> str:
        return names.setdefault(name, f"t{len(names)}")

    for node in graph.node:
        node.name = other(f"node {node.name}")
        node.input[:] = [other(name) for name in node.input]
        node.output[:] = [other(name) for name in node.output]
    for port in [*graph.input, *graph.output, *graph.initializer]:
        port.name = other(port.name)
    del graph.value_info[:]
    onnx.save(model, str(path))
    return path
