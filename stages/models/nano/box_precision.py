"""COCO's average precision of boxes, by `faster-coco-eval`."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.messages import Detections


class BoxPrecision:
    """Gathers frames, then gives AP a class.

    Args:
        names: class names; a label is an index into them.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._images: list[dict[str, Any]] = []
        self._truth: list[dict[str, Any]] = []
        self._found: list[dict[str, Any]] = []

    def add(
        self,
        detections: Detections,
        *,
        truth_boxes: NDArray[np.float32],  # [G, 4] xyxy
        truth_labels: NDArray[np.int64],  # [G]
        ignored: NDArray[np.bool_],  # [G]
    ) -> None:
        """One frame."""
        image = len(self._images) + 1
        self._images.append({"id": image})
        for box, label, crowd in zip(xywh(truth_boxes), truth_labels, ignored, strict=True):
            entry = {"id": len(self._truth) + 1, "image_id": image, "category_id": int(label) + 1, "bbox": box}
            self._truth.append(entry | {"area": box[2] * box[3], "iscrowd": int(crowd)})
        for box, label, score in zip(xywh(detections.boxes), detections.labels, detections.scores, strict=True):
            self._found.append({"image_id": image, "category_id": int(label) + 1, "bbox": box, "score": float(score)})

    def by_class(self) -> tuple[dict[str, float | None], dict[str, float | None]]:
        """AP averaged over IoU 0.50..0.95, and AP at 0.50; None for a class that never occurred."""
        if not self._found:
            present = {entry["category_id"] for entry in self._truth if not entry["iscrowd"]}
            nothing = {name: 0.0 if i + 1 in present else None for i, name in enumerate(self.names)}
            return dict(nothing), dict(nothing)
        precision = self._precision()  # [T, R, classes]
        return self._means(precision), self._means(precision[:1])

    def _precision(self) -> NDArray[np.float64]:
        from faster_coco_eval import COCO, COCOeval_faster

        categories = [{"id": i + 1, "name": name} for i, name in enumerate(self.names)]
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO({"images": self._images, "annotations": self._truth, "categories": categories})
            evaluation = COCOeval_faster(truth, truth.loadRes(self._found), "bbox", print_function=lambda *_: None)
            evaluation.evaluate()
            evaluation.accumulate()
        return np.asarray(evaluation.eval["precision"], np.float64)[:, :, :, 0, -1]

    def _means(self, precision: NDArray[np.float64]) -> dict[str, float | None]:
        means: dict[str, float | None] = {}
        for i, name in enumerate(self.names):
            known = precision[:, :, i][precision[:, :, i] > -1]
            means[name] = float(known.mean()) if known.size else None
        return means


def xywh(boxes: NDArray[np.float32]) -> list[list[float]]:
    """[N, 4] xyxy as COCO writes boxes."""
    return [[float(x0), float(y0), float(x1 - x0), float(y1 - y0)] for x0, y0, x1, y1 in boxes]
