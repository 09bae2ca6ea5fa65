"""The suppression stage."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pipeline.config import SuppressConfig
from pipeline.messages import Batch, Detections
from pipeline.stage import Field
from stages.suppress.suppress import suppress


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
        return batch.with_(detections=tuple(suppressed(one, self.config) for one in batch.detections or ()))


def suppressed(detections: Detections, config: SuppressConfig) -> Detections:
    """One frame's detections after suppression; `raw_scores` stay as the network gave them."""
    rows, scores = suppress(
        detections.boxes,
        detections.scores,
        detections.labels,
        method=config.method,
        sigma=config.sigma,
        iou_threshold=config.iou_threshold,
        score_threshold=config.score_threshold,
        max_detections=config.max_detections,
        class_agnostic=config.class_agnostic,
    )
    return replace(detections[rows], scores=scores)
