"""The detection stage: preprocess, network, decode, back to source pixels."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.messages import Batch, Classes, Detections, Frame, ModelInfo, Prototypes, SemanticMap, Transform
from pipeline.stage import Field
from stages.detect.cells import placed
from stages.detect.layout import Candidates, Decode, MaskOutputs
from stages.models.backend import Backend
from stages.models.network_stage import NetworkStage, Outputs
from stages.models.preprocess import InputSpec, Placement, map_geometry


class Detect(NetworkStage):
    """Adds `detections`, and `prototypes` and `semantic` where the network gives masks.

    Boxes are the network's candidates, not suppressed, with their scores, cut to the picture. Callable from several
    threads at once.
    """

    name = "detect"
    stateful = False
    needs: frozenset[Field] = frozenset({"frames"})

    def __init__(
        self,
        backend: Backend,
        *,
        picture: InputSpec,
        decode: Decode,
        classes: Classes,
        model: ModelInfo,
        score_threshold: float,
        masks: MaskOutputs | None = None,
        kept_labels: Collection[int] | None = None,
        note: str = "",
        overlaps: bool = True,
    ) -> None:
        """`overlaps`: whether the network may find an object twice, so that its boxes are to be suppressed."""
        super().__init__(backend, picture, note=note)
        self.overlaps = overlaps
        self._decode = decode
        self._score_threshold = score_threshold
        self._masks = masks
        self._kept = None if kept_labels is None else np.isin(np.arange(len(classes.things)), list(kept_labels))
        self.classes = classes
        self.model = model
        self.adds: frozenset[Field] = frozenset(
            {"detections"} if masks is None else {"detections", "prototypes", "semantic"}
        )

    @property
    def input_size(self) -> tuple[int, int]:
        """Width and height of the network's picture."""
        return self._preprocess.spec.width, self._preprocess.spec.height

    def _read(self, batch: Batch, outputs: Iterable[tuple[Outputs, Placement]]) -> Batch:
        """The batch with what the network's outputs for each frame mean."""
        detections, prototypes, semantic = [], [], []
        for frame, (found, placement) in zip(batch.frames, outputs, strict=True):
            detections.append(self._detections(found, frame, placement))
            if self._masks is not None:
                masks, logits = (found[i][0].copy() for i in (self._masks.prototypes, self._masks.semantic))
                prototypes.append(Prototypes(masks, *map_geometry(masks.shape[1:], self._preprocess.spec, placement)))
                semantic.append(SemanticMap(logits, *map_geometry(logits.shape[1:], self._preprocess.spec, placement)))
        if self._masks is None:
            return batch.with_(detections=tuple(detections))
        return batch.with_(detections=tuple(detections), prototypes=tuple(prototypes), semantic=tuple(semantic))

    def _detections(self, outputs: Outputs, frame: Frame, placement: Placement) -> Detections:
        found = self._decode(outputs, self._score_threshold)
        if self._kept is not None:
            found = _rows(found, np.flatnonzero(self._kept[found.labels]))
        return to_source(found, placement.transform, width=frame.width, height=frame.height)


def to_source(found: Candidates, transform: Transform, *, width: int, height: int) -> Detections:
    """Candidates as detections in source pixels, cut to the picture; boxes without area or not finite are dropped."""
    boxes, rows = placed(
        np.ascontiguousarray(found.boxes, dtype=np.float32),
        transform.scale_x,
        transform.scale_y,
        transform.offset_x,
        transform.offset_y,
        width,
        height,
    )
    if len(rows) < len(found.scores):
        found = _rows(found, rows)
    return Detections.of(boxes, found.scores, found.labels, coefficients=found.coefficients)


def _rows(found: Candidates, rows: npt.NDArray[Any]) -> Candidates:
    coefficients = None if found.coefficients is None else found.coefficients[rows]
    return Candidates(found.boxes[rows], found.scores[rows], found.labels[rows], coefficients)
