"""The real sources, and a graph that detects the whole picture in each picture and tracks it."""

from __future__ import annotations

import numpy as np

from pipeline.build import build_publisher, build_sinks, open_source
from pipeline.config import PipelineConfig
from pipeline.graph import Graph
from pipeline.messages import Batch, Classes, Detections, Frame, ModelInfo
from pipeline.stage import Field
from stages.track import Track

__all__ = ["build_graph", "build_publisher", "build_sinks", "open_source"]


class WholePicture:
    """Detects one object a frame, which fills it."""

    name = "whole"
    stateful = False
    needs: frozenset[Field] = frozenset({"frames"})
    adds: frozenset[Field] = frozenset({"detections"})

    def __call__(self, batch: Batch) -> Batch:
        return batch.with_(detections=tuple(whole(frame) for frame in batch.frames))


def whole(frame: Frame) -> Detections:
    box = np.array([[0, 0, frame.width, frame.height]], dtype=np.float32)
    return Detections.of(box, np.ones(1, dtype=np.float32), np.zeros(1, dtype=np.int32))


def build_graph(config: PipelineConfig) -> Graph:
    stages = [WholePicture(), Track(config.tracker)]
    return Graph(stages, classes=Classes(("picture",)), model=ModelInfo("whole", "1"), lanes=2)
