"""Boxes matched with the truth once; AP of any part of the pictures, or of some classes in them, is then summed up."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.messages import BatchDetections
from stages.models.evaluation.box_precision import xywh
from tests.benchmarks.suppression.boxes import Looked

MOST = 100  # boxes a picture, as COCO counts them and as a run keeps them


@dataclass(frozen=True, slots=True)
class Precision:
    """Means over the classes that the pictures show."""

    ap: float
    ap50: float
    ap75: float


class Matched:
    """What suppression left of all pictures, through `faster-coco-eval`, in all sizes.

    A picture's matches of a class hang on no other picture and class, so that those of a part are a choice of those of
    all; `test_suppression_figures` holds that against the evaluation of the part alone.
    """

    def __init__(self, looked: Looked, left: BatchDetections) -> None:
        from faster_coco_eval import COCO, COCOeval_faster

        self._classes, self._pictures = len(looked.classes) + 1, len(looked.keys)
        self._crowds = [one.crowds() for one in looked.objects]
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(_truth(looked))
            evaluation = COCOeval_faster(
                truth, truth.loadRes(_found(left)), "bbox", print_function=lambda *_: None, separate_eval=True
            )
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [MOST]
        evaluation.evaluate()
        self._params = evaluation._paramsEval
        self._matches: list[Any] = evaluation._evalImgs_cpp  # [class][picture]
        self._nothing = self._matches[-1]

    def precision(self, rows: Sequence[int], *, crowded: bool = False) -> Precision | None:
        """Of some pictures; `crowded`: of the classes alone that crowd a picture, there. None where nothing is."""
        import faster_coco_eval.faster_eval_api_cpp as cpp

        if crowded:
            rows = [i for i in rows if self._crowds[i]]
        if not rows:
            return None
        params = copy.copy(self._params)
        params.imgIds = [i + 1 for i in rows]
        chosen = [
            self._matches[k * self._pictures + i] if not crowded or k in self._crowds[i] else self._nothing
            for k in range(self._classes)
            for i in rows
        ]
        precision = np.asarray(cpp.COCOevalAccumulate(params, chosen)["precision"])[..., 0, 0]  # [T, R, K]
        precision = precision[:, :, (precision > -1).any((0, 1))]
        if not precision.size:
            return None
        return Precision(float(precision.mean()), float(precision[0].mean()), float(precision[5].mean()))


def _truth(looked: Looked) -> dict[str, Any]:
    annotations = [
        {"id": 0, "image_id": i + 1, "category_id": int(label) + 1, "bbox": box, "area": area, "iscrowd": int(ignored)}
        for i, one in enumerate(looked.objects)
        for box, label, area, ignored in zip(xywh(one.boxes), one.labels, one.areas.tolist(), one.ignored, strict=True)
    ]
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    # A class more, which is never shown and never found.
    names = (*looked.classes, "nothing")
    return {
        "images": [{"id": i + 1} for i in range(len(looked.keys))],
        "annotations": annotations,
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(names)],
    }


def _found(left: BatchDetections) -> list[dict[str, Any]]:
    pictures = np.repeat(np.arange(len(left)), np.diff(left.bounds)).tolist()
    rows = zip(pictures, left.labels.tolist(), xywh(left.boxes), left.scores.tolist(), strict=True)
    return [{"image_id": i + 1, "category_id": label + 1, "bbox": box, "score": score} for i, label, box, score in rows]
