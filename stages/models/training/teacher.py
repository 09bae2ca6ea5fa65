"""A larger detector's answer at every cell, on the very picture that is learnt from.

A box list throws away most of what a detector knows: how nearly something is a person, and where it is sure there is
none. Where teacher and network have the same cells, all of it can be learnt from, on pictures that nobody labelled
(Zhou et al. 2022, "Dense Teacher", arXiv:2207.02541; Beyer et al. 2021, "A good teacher is patient and consistent",
2106.05237).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import ConfigError, ModelError
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.nano.network import STRIDES, anchor_points, decode_boxes


class Answer(NamedTuple):
    """What the teacher says of one picture. A = cells."""

    scores: Tensor  # [A, things] float32, 0..1; of classes that it does not know: nan
    boxes: Tensor  # [A, 4] float32 xyxy, pixels


class DenseTeacher:
    """An ONNX detector in YOLOX's layout, asked one picture at a time, on one thread, in whatever process it is in.

    Args:
        model: the file.
        names: its classes in order.
        taxonomy: the classes wanted; each is the highest of those it gathers.

    Raises:
        ModelError: when the file cannot be read, or is of another layout.
        ConfigError: when it knows none of the things.
    """

    def __init__(self, model: Path, names: Sequence[str], taxonomy: Taxonomy) -> None:
        self.model = model
        labels = [taxonomy.label(name) for name in names]
        things = len(taxonomy.things)
        self.columns = [[i for i, label in enumerate(labels) if label == thing] for thing in range(things)]
        if not any(self.columns):
            raise ConfigError(f"teacher: {model} knows none of {', '.join(taxonomy.things)}; it knows {names[:8]}, ...")
        self._check(len(names))
        self._compiled: dict[tuple[int, int], Any] = {}

    def __call__(self, image: NDArray[np.uint8]) -> Answer:
        """Of a picture [H, W, 3] RGB, sides multiples of 32."""
        height, width = image.shape[:2]
        if (height, width) not in self._compiled:
            self._compiled[height, width] = self._compile(height, width)
        pixels = np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1)[None], np.float32)
        output = self._compiled[height, width](pixels)[0][0]  # [A, 5 + C]
        scores = output[:, 4:5] * output[:, 5:]
        wanted = [scores[:, columns].max(1) if columns else np.full(len(scores), np.nan) for columns in self.columns]
        return Answer(
            torch.from_numpy(np.stack(wanted, 1).astype(np.float32)),
            yolox_boxes(torch.from_numpy(np.array(output[:, :4], np.float32)), height, width),
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_compiled": {}}  # a compiled network stays in its process

    def _read(self) -> Any:
        from stages.models.openvino_runtime import ov

        if not self.model.is_file():
            raise ModelError(f"teacher: {self.model}: no such file")
        try:
            return ov.Core().read_model(str(self.model))
        except RuntimeError as exc:
            raise ModelError(f"teacher: {self.model}: cannot be read: {str(exc).splitlines()[0][:200]}") from exc

    def _check(self, names: int) -> None:
        network = self._read()
        shape = list(network.outputs[0].partial_shape)
        if len(network.outputs) != 1 or len(shape) != 3 or shape[2].is_dynamic or shape[2].get_length() != names + 5:
            raise ModelError(
                f"teacher: {self.model}: outputs {[str(o.partial_shape) for o in network.outputs]}; YOLOX has one, "
                f"1 x cells x {names + 5} (4 box, 1 objectness, {names} classes)"
            )

    def _compile(self, height: int, width: int) -> Any:
        from stages.models.openvino_runtime import ov

        network = self._read()
        cells = len(anchor_points(height, width))
        try:
            network.reshape([1, 3, height, width])
            given = list(network.outputs[0].shape)
        except RuntimeError as exc:
            raise ModelError(f"teacher: {self.model} takes no picture of {width}x{height}") from exc
        if given[1] != cells:
            raise ModelError(
                f"teacher: {self.model} has {given[1]} cells at {width}x{height}; strides {STRIDES} would make {cells}"
            )
        options = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        return ov.Core().compile_model(network, "CPU", options)


def yolox_boxes(raw: Tensor, height: int, width: int) -> Tensor:
    """As the network's own centres and sizes [A, 4], but that centres are counted from cells' corners: xyxy, pixels."""
    corners = anchor_points(height, width)
    corners[:, :2] -= corners[:, 2:] / 2
    return decode_boxes(raw, corners)
