"""Masks of boxes (Mask R-CNN) on a map, and the stage that merges them, with or without a semantic network beside."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError
from pipeline.messages import Batch, Classes, Detections, Float32, Frame, LabelMap, PanopticMap, SemanticMap, Transform
from pipeline.stage import Field
from stages.segment.merge import channel_labels, label_pixels, merge_instances
from stages.segment.merge_kernels import VOID

LONGEST_SIDE = 480  # of the map, where no semantic network gives it a size

Bools = npt.NDArray[np.bool_]


def paste_masks(
    masks: Float32,  # [N, M * M] probabilities inside the boxes
    boxes: Float32,  # [N, 4] xyxy, in pixels of the map
    *,
    height: int,
    width: int,
) -> Bools:
    """Masks [N, height, width]: each box's interpolated linearly at the centres of pixels, and set above 0.5.

    A mask's outermost samples lie half a sample inside its box; past them it falls to nothing, as it does in
    torchvision, which puts a ring of zeros around it.
    """
    pasted = np.zeros((len(masks), height, width), dtype=np.bool_)
    side = round(masks.shape[1] ** 0.5)
    for i, (left, top, right, bottom) in enumerate(boxes):
        first_x, last_x = max(int(np.floor(left)), 0), min(int(np.ceil(right)), width)
        first_y, last_y = max(int(np.floor(top)), 0), min(int(np.ceil(bottom)), height)
        if first_x >= last_x or first_y >= last_y:
            continue
        x = (np.arange(first_x, last_x, dtype=np.float32) + 0.5 - left) / max(right - left, 1e-6) * side - 0.5
        y = (np.arange(first_y, last_y, dtype=np.float32) + 0.5 - top) / max(bottom - top, 1e-6) * side - 0.5
        columns, rows = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
        mask = np.ascontiguousarray(masks[i].reshape(side, side), dtype=np.float32)
        shown = cv2.remap(mask, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
        pasted[i, first_y:last_y, first_x:last_x] = shown > 0.5
    return pasted


class MergeBoxMasks:
    """Makes each frame's panoptic map of detections whose coefficients are masks [M * M] of their boxes: rule a.

    With a semantic network beside, the map is of its size and has its stuff; without one, it has things alone.
    """

    name = "merge"
    stateful = False
    adds: frozenset[Field] = frozenset({"panoptic"})

    def __init__(self, *, classes: Classes, semantic_labels: Sequence[int | None] | None = None) -> None:
        self.needs: frozenset[Field] = frozenset(
            {"detections"} if semantic_labels is None else {"detections", "semantic"}
        )
        self.classes = classes
        self._labels = None if semantic_labels is None else channel_labels(semantic_labels, classes)

    def __call__(self, batch: Batch) -> Batch:
        """The batch with a panoptic map a frame."""
        maps: Sequence[SemanticMap | LabelMap | None] = batch.semantic or (None,) * len(batch)
        columns = zip(batch.frames, batch.detections or (), maps, strict=True)
        return batch.with_(panoptic=tuple(self._merge(*of_frame) for of_frame in columns))

    def _merge(self, frame: Frame, detections: Detections, semantic: SemanticMap | LabelMap | None) -> PanopticMap:
        if isinstance(semantic, LabelMap):
            raise ModelError(f"{semantic!r}: masks of boxes are merged with class scores, not with labelled pixels")
        if semantic is not None and self._labels is not None:
            label_at, transform = label_pixels(semantic, self._labels), semantic.transform
        else:
            ratio = min(1.0, LONGEST_SIDE / max(frame.width, frame.height))
            height, width = max(round(frame.height * ratio), 1), max(round(frame.width * ratio), 1)
            label_at = np.full((height, width), VOID, dtype=np.int32)
            transform = Transform(frame.width / width, frame.height / height)
        height, width = label_at.shape
        boxes = transform.invert(detections.boxes)
        masks = detections.coefficients
        if masks is None:
            masks = np.zeros((len(detections), 1), dtype=np.float32)
        pasted = paste_masks(masks, boxes, height=height, width=width)
        return merge_instances(pasted, detections, label_at, classes=self.classes, transform=transform)
