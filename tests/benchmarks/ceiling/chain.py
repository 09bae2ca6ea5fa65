"""The chain that is measured: a network that costs nothing, then the project's own stages. A builder for workers.

A model called ``null?masks=0`` gives boxes alone.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

import numpy as np

from pipeline.build import build_publisher, build_sinks, open_source
from pipeline.config import PipelineConfig
from pipeline.graph import Graph
from pipeline.messages import Batch, BatchDetections, LabelMap, ModelInfo, Transform
from pipeline.stage import Field
from stages.segment import PanopticMerge
from stages.suppress import Suppress
from stages.track import Track
from tests.benchmarks.ceiling import scenes

__all__ = ["build_graph", "build_publisher", "build_sinks", "open_source"]

PACKET_BYTES = 16_384  # of 1080p at 3 Mbit/s


class NullNetwork:
    """Looks up what a network would give. Boxes come as one block a batch, as they do off a device.

    The call of a decoder is stood in for by a copy of a packet, which holds the interpreter as the real one does.
    """

    name = "detect"
    stateful = False
    needs: frozenset[Field] = frozenset({"frames"})

    def __init__(self, *, masks: bool) -> None:
        self._scenes = scenes.load()
        self._boxes, self._scores = np.array(self._scenes.boxes), np.array(self._scenes.scores)
        self._labels, self._maps = np.array(self._scenes.labels), np.array(self._scenes.maps)
        self._masks = masks
        self._packet = bytearray(PACKET_BYTES)
        self._sources: dict[str, int] = {}
        self.adds: frozenset[Field] = frozenset({"detections", "semantic"} if masks else {"detections"})

    def __call__(self, batch: Batch) -> Batch:
        """The batch with candidates, and with the class of each pixel."""
        rows = []
        for frame in batch.frames:
            bytes(self._packet)
            number = self._sources.setdefault(frame.source_id, int(frame.source_id.rpartition("-")[2]))
            rows.append(self._scenes.row(number, frame.seq))
        scores = self._scores[rows].reshape(-1)
        detections = BatchDetections(
            boxes=self._boxes[rows].reshape(-1, 4),
            scores=scores,
            labels=self._labels[rows].reshape(-1),
            raw_scores=scores,
            coefficients=None,
            bounds=np.arange(len(rows) + 1) * scenes.CANDIDATES,
        )
        if not self._masks:
            return batch.with_(detections=detections)
        transform = Transform(scenes.SCALE, scenes.SCALE)
        return batch.with_(detections=detections, semantic=tuple(LabelMap(self._maps[row], transform) for row in rows))


def build_graph(config: PipelineConfig) -> Graph:
    """The chain."""
    settings = dict(parse_qsl(config.detector_config.model.partition("?")[2]))
    masks = settings.get("masks", "1") == "1"
    classes = scenes.CLASSES
    merge = PanopticMerge(classes=classes, semantic_labels=range(len(classes.names)), rule="boxes")
    stages = [NullNetwork(masks=masks), Suppress(config.suppress), *([merge] if masks else []), Track(config.tracker)]
    return Graph(stages, classes=classes, model=ModelInfo("null", "1"), lanes=1)
