"""The real sources and outputs with a graph that reads the number out of each picture."""

from __future__ import annotations

import numpy as np

from pipeline.build import build_publisher, build_sinks, open_source
from pipeline.config import PipelineConfig
from pipeline.graph import Graph
from pipeline.messages import Batch, Classes, Detections, ModelInfo, Surface
from pipeline.stage import Field
from tests.cameras.numbered import read_number

__all__ = ["build_graph", "build_publisher", "build_sinks", "open_source"]


class NumberStage:
    """Detects one object a frame, whose width in pixels is the number in the picture; 0 where it cannot be read."""

    name = "number"
    stateful = False
    needs: frozenset[Field] = frozenset({"frames"})
    adds: frozenset[Field] = frozenset({"detections"})

    def __call__(self, batch: Batch) -> Batch:
        return batch.with_(detections=tuple(number_in(frame.surface) for frame in batch.frames))


def number_in(surface: Surface) -> Detections:
    number = read_number(surface.planes[0]) or 0
    box = np.array([[0, 0, number, 1]], dtype=np.float32)
    return Detections.of(box, np.ones(1, dtype=np.float32), np.zeros(1, dtype=np.int32))


def build_graph(config: PipelineConfig) -> Graph:
    return Graph([NumberStage()], classes=Classes(("number",)), model=ModelInfo("numbers", "1"), lanes=2)
