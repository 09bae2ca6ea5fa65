"""The suppression stage."""

from __future__ import annotations

from typing import Literal

from pipeline.config import SuppressConfig
from pipeline.messages import Batch, BatchDetections
from pipeline.stage import Field
from stages.suppress.suppress import suppress_all


class Suppress:
    """Suppresses each frame's detections: best first, none below the threshold, raw scores and coefficients kept.

    Its loops are compiled when this module is imported; the first frame waits for nothing.
    """

    name: Literal["suppress"] = "suppress"
    stateful = False
    needs: frozenset[Field] = frozenset({"detections"})
    adds: frozenset[Field] = frozenset({"detections"})

    def __init__(self, config: SuppressConfig) -> None:
        self.config = config

    def __call__(self, batch: Batch) -> Batch:
        """The batch with suppressed detections."""
        return batch.with_(detections=suppressed(BatchDetections.of(batch.detections or ()), self.config))


def suppressed(found: BatchDetections, config: SuppressConfig) -> BatchDetections:
    """Every frame's detections after suppression; `raw_scores` stay as the network gave them."""
    rows, scores, bounds = suppress_all(
        found.boxes,
        found.scores,
        found.labels,
        found.bounds,
        method=config.method,
        sigma=config.sigma,
        iou_threshold=config.iou_threshold,
        score_threshold=config.score_threshold,
        max_detections=config.max_detections,
        class_agnostic=config.class_agnostic,
    )
    coefficients = found.coefficients
    return BatchDetections(
        boxes=found.boxes[rows],
        scores=scores,
        labels=found.labels[rows],
        raw_scores=found.raw_scores[rows],
        coefficients=None if coefficients is None else coefficients[rows],
        bounds=bounds,
    )
