"""AP of the real detectors on real photographs: a wrong colour order, mean or letterbox costs them 0.03 or more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.messages import Detections
from stages.detect import COCO_CLASSES
from tests.benchmarks.accuracy import evaluate, first, labelled_truth, measure, objects_of

PHOTOGRAPHS = 40
# f32, on the first 40 labelled photographs, after hard NMS; BGR for RGB, say, takes YOLOX-nano from 0.33 to 0.28.
MEASURED = {"yolox_nano_416": 0.330, "picodet_s_416_coco": 0.404, "nanodet_m_416": 0.333, "fastestdet_352": 0.178}


@pytest.mark.slow
@pytest.mark.parametrize("weights", MEASURED)
def test_a_detector_is_as_accurate_as_it_was_measured(weights: str, shared_data: Path) -> None:
    pytest.importorskip("faster_coco_eval")
    coco = shared_data / "coco"
    model = shared_data / "weights" / f"{weights}.onnx"
    got = measure(model, precision="f32", truth=first(labelled_truth(coco), PHOTOGRAPHS), coco=coco)
    assert got["hard"].ap == pytest.approx(MEASURED[weights], abs=0.01)
    assert got["soft"].ap >= got["hard"].ap - 0.01


def test_the_truth_itself_is_perfect(shared_data: Path) -> None:
    pytest.importorskip("faster_coco_eval")
    truth = first(labelled_truth(shared_data / "coco"), PHOTOGRAPHS)
    found = {}
    for image in truth["images"]:
        boxes, labels, _, _ = objects_of(truth, image["id"])
        found[image["id"]] = Detections.of(boxes, np.ones(len(boxes), np.float32), labels.astype(np.int32))
    assert evaluate(truth, found.items()).ap == pytest.approx(1.0)
    assert evaluate(truth, []).ap == 0.0
    assert max(a["category_id"] for a in truth["annotations"]) <= len(COCO_CLASSES)
