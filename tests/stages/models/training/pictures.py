"""Small labelled pictures and recipes: coloured squares on grey, which a tiny network can learn in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from stages.models.labelled.sample import FIRST_OBJECT, Sample
from stages.models.training.recipe import Recipe
from stages.models.training.stream import LearningSet

SIDE = 64


@dataclass(frozen=True)
class Squares:
    """As many pictures of one or two squares, red (person) or blue (car), above a darker road."""

    count: int = 6
    known: tuple[bool, ...] | None = None
    name: str = "squares"
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return self.count

    def key(self, index: int) -> str:
        """Its number."""
        return f"square-{index}"

    def __getitem__(self, index: int) -> Sample:
        """Drawn anew each time, the same for the same number."""
        rng = np.random.default_rng(index)
        image = rng.integers(100, 120, (SIDE, SIDE, 3)).astype(np.uint8)
        regions = np.zeros((SIDE, SIDE), np.uint8)
        image[48:], regions[48:] = 50, 1
        boxes, labels = [], []
        for number in range(1 + index % 2):
            left, top = 4 + 32 * number + int(rng.integers(0, 8)), int(rng.integers(4, 20))
            label = int(rng.integers(0, 2))
            image[top : top + 20, left : left + 20] = (220, 30, 30) if label == 0 else (30, 30, 220)
            regions[top : top + 20, left : left + 20] = FIRST_OBJECT + number
            boxes.append((left, top, left + 20, top + 20))
            labels.append(label)
        known = None if self.known is None else np.array(self.known)
        return Sample(
            image,
            regions,
            np.array(boxes, np.float32),
            np.array(labels, np.int64),
            np.ones(len(boxes), np.float32),
            known,
        )


def recipe(**changes: Any) -> Recipe:
    """A tiny network on tiny pictures, in this process."""
    settings = {
        "data": [{"kind": "world", "worlds": 1}],  # tests hand their own pictures over
        "classes": {"things": {"person": [], "car": []}, "stuff": {"road": []}},
        "network": {"backbone": "shufflenet", "pyramid": 16, "mask_width": 16, "coefficients": 4},
        "width": SIDE,
        "height": SIDE,
        "steps": 6,
        "batch": 4,
        "copies": 1,
        "threads": 1,  # two would wait for each other where other work runs
        "readers": 0,
        "device": "cpu",
        "checkpoint_every": 100,
        "validate_every": 3,
        "validation_pictures": 4,
        "optimiser": {"rate": 2e-3},
        **changes,
    }
    return msgspec.convert(settings, Recipe)


def sets(count: int = 6, **how: Any) -> list[LearningSet]:
    """One set of squares."""
    return [LearningSet(pictures=Squares(count), **how)]


def yolox_file(path: Path, *, classes: int = 2, score: float = 0.9) -> Path:
    """An ONNX file in YOLOX's layout for any size, that sees one object of the first class in every cell.

    Its box is two strides wide around the middle of the cell.
    """
    rows = []
    for stride in (8, 16, 32):
        rows += [
            helper.make_node("Shape", ["images"], [f"shape{stride}"]),
            helper.make_node("Slice", [f"shape{stride}", "two", "four", "zero"], [f"sides{stride}"]),
            helper.make_node("Div", [f"sides{stride}", f"stride{stride}"], [f"cells{stride}"]),
            helper.make_node("ReduceProd", [f"cells{stride}"], [f"count{stride}"], keepdims=1),
        ]
    nodes = [
        *rows,
        helper.make_node("Concat", ["count8", "count16", "count32"], ["counts"], axis=0),
        helper.make_node("ReduceSum", ["counts"], ["all"], keepdims=1),
        helper.make_node("Concat", ["one", "all", "width"], ["wanted"], axis=0),
        helper.make_node("Expand", ["row", "wanted"], ["output"]),
    ]
    row = np.zeros((1, 1, 5 + classes), np.float32)
    row[..., :5] = (0.5, 0.5, np.log(2), np.log(2), 1.0)
    row[..., 5] = score
    constants = {"two": [2], "four": [4], "zero": [0], "one": [1], "width": [5 + classes]}
    constants |= {f"stride{stride}": [stride] * 2 for stride in (8, 16, 32)}
    graph = helper.make_graph(
        nodes,
        "yolox",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, "height", "width_"])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, "cells", 5 + classes])],
        [
            *(numpy_helper.from_array(np.array(value, np.int64), name) for name, value in constants.items()),
            numpy_helper.from_array(row, "row"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path
