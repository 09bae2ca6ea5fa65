"""A last transposition is left out, and nobody can tell from the numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from stages.models.backend import open_network
from stages.models.openvino_runtime import core
from stages.models.turned import leave_turned
from tests import networks

PICTURE = np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype(np.float32)


def turning_network(path: Path, *, again: bool = False) -> Path:
    """A convolution, flattened to [1, C, A] and turned to [1, A, C]; `again`: the turned one has another reader."""
    values = [
        numpy_helper.from_array(np.random.default_rng(0).normal(size=(5, 3, 1, 1)).astype(np.float32), "weights"),
        numpy_helper.from_array(np.array([1, 5, 64], dtype=np.int64), "flat"),
    ]
    nodes = [
        helper.make_node("Conv", ["in", "weights"], ["map"]),
        helper.make_node("Reshape", ["map", "flat"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["out"], perm=[0, 2, 1]),
    ]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 64, 5])]
    if again:
        nodes.append(helper.make_node("Relu", ["out"], ["positive"]))
        outputs.append(helper.make_tensor_value_info("positive", TensorProto.FLOAT, [1, 64, 5]))
    inputs = [helper.make_tensor_value_info("in", TensorProto.FLOAT, [1, 3, 8, 8])]
    return networks.save(helper.make_graph(nodes, "turning", inputs, outputs, values), path)


def test_the_transposition_goes_and_the_answer_stays(tmp_path: Path) -> None:
    path = turning_network(tmp_path / "t.onnx")
    model = core().read_model(path)
    assert leave_turned(model) == {0: (0, 2, 1)}
    assert "Transpose" not in {node.get_type_name() for node in model.get_ordered_ops()}
    whole = open_network(path, kind="onnxruntime").compile()
    expected = whole(PICTURE)["out"]
    whole.close()
    backend = open_network(path).compile(precision="f32")
    assert backend.outputs == {"out": (1, 64, 5)}
    assert backend.view(PICTURE)["out"] == pytest.approx(expected, abs=1e-5)
    assert backend(np.concatenate([PICTURE, PICTURE]))["out"].shape == (2, 64, 5)
    backend.close()


def test_it_stays_where_something_else_reads_it_or_where_asked(tmp_path: Path) -> None:
    assert leave_turned(core().read_model(turning_network(tmp_path / "a.onnx", again=True))) == {}
    model = core().read_model(turning_network(tmp_path / "t.onnx"))
    assert leave_turned(model, frozenset({0})) == {}
    assert "Transpose" in {node.get_type_name() for node in model.get_ordered_ops()}


def test_a_network_compiled_twice_answers_the_same(tmp_path: Path) -> None:
    network = open_network(turning_network(tmp_path / "t.onnx"))
    first, second = network.compile(precision="f32"), network.compile(precision="f32")
    assert np.array_equal(first(PICTURE)["out"], second(PICTURE)["out"])
    first.close()
    second.close()
