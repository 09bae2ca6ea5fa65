"""COCO's average precision and recall of boxes, by `faster-coco-eval`."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.messages import Detections

Float = NDArray[np.float64]
# Rows of COCO's arrays: IoU 0.50, 0.55, ... 0.95; all sizes, below 32² pixels, below 96², the rest; 1, 10, 100 boxes.
_IOU_50, _IOU_75 = 0, 5
_ALL, _SMALL, _MEDIUM, _LARGE = range(4)
RECALLS: Final = 101  # places of a curve: recall 0, 0.01, ... 1


@dataclass(frozen=True, slots=True, eq=False)
class BoxFigures:
    """What COCO's evaluation says, by class; None for a class that never occurs in the truth.

    Attributes:
        by_class: name -> ap, ap50, ap75, ap_small, ap_medium, ap_large, ar1, ar10, ar100.
        curves: name -> precision [101] at recall 0, 0.01, ... 1 and IoU 0.5.
    """

    by_class: dict[str, dict[str, float | None]]
    curves: dict[str, Float]


class BoxPrecision:
    """Gathers pictures, then gives their figures.

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
        boxes: NDArray[np.float32],  # [G, 4] xyxy
        labels: NDArray[np.int64],  # [G]
        ignored: NDArray[np.bool_],  # [G]
        *,
        areas: Float | None = None,  # [G] pixels of each object's mask; None: its box's
        open_labels: Collection[int] = (),
    ) -> None:
        """One picture.

        Objects `ignored` are COCO's crowds. Of `open_labels` there may be more objects than the truth has: what is
        found of them and matches nothing is neither right nor wrong, as on a crowd as large as everything.
        """
        image = len(self._images) + 1
        self._images.append({"id": image})
        if areas is None:
            areas = (boxes[:, 2:] - boxes[:, :2]).prod(1).astype(np.float64)
        for box, label, crowd, area in zip(xywh(boxes), labels, ignored, areas, strict=True):
            self._add_truth(image, int(label), box, area=float(area), crowd=bool(crowd))
        for label in set(detections.labels.tolist()) & set(open_labels):
            everything = [0.0, 0.0, *detections.boxes[:, 2:].max(0).tolist()]
            self._add_truth(image, label, everything, area=everything[2] * everything[3], crowd=True)
        for box, label, score in zip(xywh(detections.boxes), detections.labels, detections.scores, strict=True):
            self._found.append({"image_id": image, "category_id": int(label) + 1, "bbox": box, "score": float(score)})

    def _add_truth(self, image: int, label: int, box: list[float], *, area: float, crowd: bool) -> None:
        entry: dict[str, Any] = {"id": len(self._truth) + 1, "image_id": image, "category_id": label + 1, "bbox": box}
        self._truth.append(entry | {"area": area, "iscrowd": int(crowd)})

    def figures(self) -> BoxFigures:
        """AP and AR by class, and the curves at IoU 0.5."""
        if not self._found:
            return self._nothing_found()
        precision, recall = self._evaluated()  # [T, R, K, A, M], [T, K, A, M]
        by_class, curves = {}, {}
        for k, name in enumerate(self.names):
            ours, reached = precision[:, :, k, :, -1], recall[:, k]
            by_class[name] = {
                "ap": _mean(ours[:, :, _ALL]),
                "ap50": _mean(ours[_IOU_50, :, _ALL]),
                "ap75": _mean(ours[_IOU_75, :, _ALL]),
                "ap_small": _mean(ours[:, :, _SMALL]),
                "ap_medium": _mean(ours[:, :, _MEDIUM]),
                "ap_large": _mean(ours[:, :, _LARGE]),
                "ar1": _mean(reached[:, _ALL, 0]),
                "ar10": _mean(reached[:, _ALL, 1]),
                "ar100": _mean(reached[:, _ALL, 2]),
            }
            if by_class[name]["ap"] is not None:
                curves[name] = ours[_IOU_50, :, _ALL].clip(0)
        return BoxFigures(by_class, curves)

    def _nothing_found(self) -> BoxFigures:
        present = {entry["category_id"] for entry in self._truth if not entry["iscrowd"]}
        keys = ("ap", "ap50", "ap75", "ar1", "ar10", "ar100")
        by_class: dict[str, dict[str, float | None]] = {}
        for k, name in enumerate(self.names):
            by_class[name] = dict.fromkeys(keys, 0.0 if k + 1 in present else None)
            by_class[name] |= self._nothing_by_size(k + 1)
        return BoxFigures(by_class, {name: np.zeros(RECALLS) for name in self.names if by_class[name]["ap"] == 0.0})

    def _nothing_by_size(self, category: int) -> dict[str, float | None]:
        areas = [e["area"] for e in self._truth if e["category_id"] == category and not e["iscrowd"]]
        edges = {"ap_small": (0.0, 32.0**2), "ap_medium": (32.0**2, 96.0**2), "ap_large": (96.0**2, 1e10)}
        return {key: 0.0 if any(a <= area <= b for area in areas) else None for key, (a, b) in edges.items()}

    def _evaluated(self) -> tuple[Float, Float]:
        from faster_coco_eval import COCO, COCOeval_faster

        categories = [{"id": i + 1, "name": name} for i, name in enumerate(self.names)]
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO({"images": self._images, "annotations": self._truth, "categories": categories})
            evaluation = COCOeval_faster(truth, truth.loadRes(self._found), "bbox", print_function=lambda *_: None)
            evaluation.evaluate()
            evaluation.accumulate()
        return np.asarray(evaluation.eval["precision"], np.float64), np.asarray(evaluation.eval["recall"], np.float64)


def _mean(values: Float) -> float | None:
    """Of what is known; None where nothing is."""
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def xywh(boxes: NDArray[np.float32]) -> list[list[float]]:
    """[N, 4] xyxy as COCO writes boxes."""
    return [[float(x0), float(y0), float(x1 - x0), float(y1 - y0)] for x0, y0, x1, y1 in boxes]
