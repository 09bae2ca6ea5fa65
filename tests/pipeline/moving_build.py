"""Readers that make frames up, and a graph that tracks an object which goes to and fro in the picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pipeline.config import PipelineConfig, SourceConfig
from pipeline.graph import Graph
from pipeline.messages import Batch, Classes, Detections, Frame, ModelInfo
from pipeline.stage import Access, Field
from stages.track import Track
from tests.pipeline.fake_build import FakeReader, build_publisher, build_sinks, build_zones

__all__ = ["build_graph", "build_publisher", "build_sinks", "build_zones", "open_source"]

PERIOD = 40  # frames to the right and back
START_NS = 1_700_000_000_000_000_000


class Regular(FakeReader):
    """Frames whose times are as regular as those of a recording, however fast they are read."""

    def _frame(self, number: int, seq: int) -> Frame:
        frame = super()._frame(number, seq)
        return replace(frame, capture_time_ns=START_NS + number * 40_000_000, clock="recording")


def open_source(source: SourceConfig, *, next_epoch: Callable[[], int], access: Access) -> Regular:
    return Regular(source, next_epoch)


class ToAndFro:
    """Detects one object of 16 x 16 pixels a frame."""

    name = "to-and-fro"
    stateful = False
    needs: frozenset[Field] = frozenset({"frames"})
    adds: frozenset[Field] = frozenset({"detections"})

    def __call__(self, batch: Batch) -> Batch:
        return batch.with_(detections=tuple(map(found, batch.frames)))


def found(frame: Frame) -> Detections:
    x = 32.03 - 22 * np.cos(2 * np.pi * frame.seq / PERIOD)
    box = np.array([[x - 8, 24, x + 8, 40]], dtype=np.float32)
    return Detections.of(box, np.full(1, 0.87654321, dtype=np.float32), np.zeros(1, dtype=np.int32))


def build_graph(config: PipelineConfig) -> Graph:
    stages = [ToAndFro(), Track(config.tracker)]
    return Graph(stages, classes=Classes(("thing",)), model=ModelInfo("to-and-fro", "1"), lanes=2)
