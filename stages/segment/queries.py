"""Panoptic networks of the mask classification kind (EoMT, Mask2Former, OneFormer): things and stuff in one pass."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.messages import Batch, Classes, Detections, Float32, Frame, ModelInfo, PanopticMap
from pipeline.stage import Field
from stages.models.backend import BatchBackend
from stages.models.preprocess import InputSpec, Placement, Preprocessor, map_geometry
from stages.segment.merge import merge_queries

SCORE_THRESHOLD = 0.8


class PanopticQueries:
    """Adds `panoptic`, and the map's things as `detections`, boxes cut to the picture.

    The network gives masks [N, Q, h, w] and classes [N, Q, C + 1], things first, the last for no object; rule c of
    `merge` makes the map of them. No thing lies on another, so that nothing is suppressed after it.
    """

    name = "segment"
    stateful = False
    needs: frozenset[Field] = frozenset({"frames"})
    adds: frozenset[Field] = frozenset({"detections", "panoptic"})

    def __init__(
        self,
        backend: BatchBackend,
        *,
        picture: InputSpec,
        classes: Classes,
        model: ModelInfo,
        score_threshold: float | None = None,
        note: str = "",
    ) -> None:
        """`score_threshold` is for queries: None is what the papers use."""
        self._backend = backend
        self._preprocess = Preprocessor(picture)
        self._score_threshold = SCORE_THRESHOLD if score_threshold is None else score_threshold
        self.classes = classes
        self.model = model
        self.note = note or backend.note

    def __call__(self, batch: Batch) -> Batch:
        """The batch with panoptic maps and detections. Raises `ModelError`."""
        pictures, placements = self._preprocess.stack([frame.surface for frame in batch.frames])
        masks, classes = self._backend(pictures).values()
        merged = [self._merged(*of_frame) for of_frame in zip(batch.frames, placements, masks, classes, strict=True)]
        return batch.with_(panoptic=tuple(one for one, _ in merged), detections=tuple(found for _, found in merged))

    def warm_up(self, tell: Callable[[str], None]) -> None:
        """Make the network ready for every size of batch. Raises `ModelError`."""
        self._backend.warm_up(tell)

    def complaints(self) -> list[str]:
        """What the network went on after."""
        return self._backend.complaints()

    def close(self) -> None:
        """Release the network. Calling it twice does no harm."""
        self._backend.close()

    def _merged(
        self, frame: Frame, placement: Placement, masks: Float32, classes: Float32
    ) -> tuple[PanopticMap, Detections]:
        transform, height, width = map_geometry(masks.shape[1:], self._preprocess.spec, placement)
        panoptic, found = merge_queries(
            masks[:, :height, :width],
            classes,
            classes=self.classes,
            transform=transform,
            score_threshold=self._score_threshold,
        )
        return panoptic, cut_to(frame, found)


def cut_to(frame: Frame, found: Detections) -> Detections:
    """Things of a map, whose last pixels may reach beyond the picture, with boxes cut to it."""
    boxes = found.boxes.copy()
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, frame.width)
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, frame.height)
    return Detections.of(boxes, found.scores, found.labels)
