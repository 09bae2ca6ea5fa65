"""The Focus layer's quicker form gives the same numbers, and nothing else is taken for a Focus layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from stages.models.focus import merge_focus
from stages.models.openvino_runtime import core
from tests import networks

# (row, column) of the pixels each joined picture begins with, as YOLOX has it.
YOLOX_ORDER = [(0, 0), (1, 0), (0, 1), (1, 1)]


def focus_network(path: Path, *, order: list[tuple[int, int]], step: int = 2, size: tuple[int, int] = (16, 24)) -> Path:
    """Slices in the given order, joined, into a convolution of 3x3."""
    rng = np.random.default_rng(0)
    values = [
        numpy_helper.from_array(rng.normal(size=(5, 12, 3, 3)).astype(np.float32), "weights"),
        numpy_helper.from_array(np.array([2**31 - 1], dtype=np.int64), "end"),
        *(numpy_helper.from_array(np.array([n], dtype=np.int64), f"n{n}") for n in range(5)),
    ]
    nodes = []
    for i, (row, column) in enumerate(order):
        nodes.append(helper.make_node("Slice", ["in", f"n{row}", "end", "n2", f"n{step}"], [f"rows{i}"]))
        nodes.append(helper.make_node("Slice", [f"rows{i}", f"n{column}", "end", "n3", f"n{step}"], [f"part{i}"]))
    nodes.append(helper.make_node("Concat", [f"part{i}" for i in range(4)], ["joined"], axis=1))
    nodes.append(helper.make_node("Conv", ["joined", "weights"], ["out"], pads=[1, 1, 1, 1]))
    inputs = [helper.make_tensor_value_info("in", TensorProto.FLOAT, [1, 3, *size])]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 5, *(-(-n // step) for n in size)])]
    return networks.save(helper.make_graph(nodes, "focus", inputs, outputs, values), path)


def run(model: Any, picture: np.ndarray) -> np.ndarray:
    compiled = core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})
    return np.asarray(next(iter(compiled(picture).values()))).copy()


@pytest.mark.parametrize("order", [YOLOX_ORDER, [(0, 0), (0, 1), (1, 0), (1, 1)], [(1, 1), (0, 1), (1, 0), (0, 0)]])
def test_the_quicker_form_gives_the_same(order: list[tuple[int, int]], tmp_path: Path) -> None:
    path = focus_network(tmp_path / "f.onnx", order=order)
    picture = np.random.default_rng(1).normal(size=(1, 3, 16, 24)).astype(np.float32)
    model = core().read_model(path)
    assert merge_focus(model)
    kinds = {node.get_type_name() for node in model.get_ordered_ops()}
    assert "SpaceToDepth" in kinds
    assert not kinds & {"Slice", "StridedSlice", "Concat"}
    assert run(model, picture) == pytest.approx(run(core().read_model(path), picture), abs=1e-5)


@pytest.mark.parametrize(
    ("order", "step", "size"),
    [
        ([(0, 0), (1, 0), (0, 1), (0, 1)], 2, (16, 24)),  # one block twice
        (YOLOX_ORDER, 3, (15, 24)),  # every third pixel
        (YOLOX_ORDER, 4, (16, 24)),
    ],
)
def test_what_only_looks_like_one_is_left_alone(
    order: list[tuple[int, int]], step: int, size: tuple[int, int], tmp_path: Path
) -> None:
    path = focus_network(tmp_path / "f.onnx", order=order, step=step, size=size)
    picture = np.random.default_rng(1).normal(size=(1, 3, *size)).astype(np.float32)
    model = core().read_model(path)
    assert not merge_focus(model)
    assert np.array_equal(run(model, picture), run(core().read_model(path), picture))


def test_a_network_without_one_is_left_alone(tmp_path: Path) -> None:
    assert not merge_focus(core().read_model(networks.channel_means(tmp_path / "m.onnx")))


def test_yolox_has_one(shared_data: Path) -> None:
    path = shared_data / "weights" / "yolox_nano_416.onnx"
    picture = np.random.default_rng(1).uniform(0, 255, (1, 3, 416, 416)).astype(np.float32)
    model = core().read_model(path)
    assert merge_focus(model)
    assert run(model, picture) == pytest.approx(run(core().read_model(path), picture), abs=1e-3)
