"""Box figures beside pycocotools' own, by hand, and where objects are ignored or may be missing from the truth."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from pipeline.messages import Detections
from stages.models.evaluation.box_precision import BoxPrecision, xywh
from tests.stages.models.evaluation.made import BOXES, LABELS, NONE, found, scene

pytest.importorskip("faster_coco_eval", reason="needs faster-coco-eval, of the eval extra")


def test_perfect_boxes_have_full_precision_and_recall() -> None:
    precision = BoxPrecision(("person", "car", "bus"))
    precision.add(found(BOXES, [0, 1], [0.9, 0.8]), BOXES, LABELS, NONE)
    figures = precision.figures()
    for name in ("person", "car"):
        for key in ("ap", "ap50", "ap75", "ap_small", "ar1", "ar100"):
            assert figures.by_class[name][key] == pytest.approx(1.0)
    assert set(figures.by_class["bus"].values()) == {None}
    assert figures.by_class["person"]["ap_large"] is None
    assert sorted(figures.curves) == ["car", "person"]
    np.testing.assert_allclose(figures.curves["car"], 1.0)


def test_boxes_on_ignored_objects_count_for_nothing() -> None:
    precision = BoxPrecision(("person", "car"))
    both = np.concatenate([BOXES, BOXES + 100])
    ignored = np.array([False, False, True, True])
    precision.add(found(both, [0, 1, 0, 1], [0.5, 0.5, 0.9, 0.9]), both, np.array([0, 1, 0, 1]), ignored)
    assert [row["ap50"] for row in precision.figures().by_class.values()] == [pytest.approx(1.0)] * 2


def test_what_is_found_of_a_class_with_missing_labels_is_not_held_against_it() -> None:
    more = np.concatenate([BOXES, BOXES + 100])
    detections = found(more, [0, 1, 0, 1], [0.5, 0.5, 0.9, 0.9])  # better scores where nothing is labelled
    strict, open_ = BoxPrecision(("person", "car")), BoxPrecision(("person", "car"))
    strict.add(detections, BOXES, LABELS, NONE)
    open_.add(detections, BOXES, LABELS, NONE, open_labels={1})
    assert strict.figures().by_class["car"]["ap50"] == pytest.approx(0.5)
    assert open_.figures().by_class["car"]["ap50"] == pytest.approx(1.0)
    assert open_.figures().by_class["person"]["ap50"] == pytest.approx(0.5)


def test_no_boxes_have_no_precision() -> None:
    precision = BoxPrecision(("person", "car", "bus"))
    precision.add(Detections.empty(), BOXES, LABELS, NONE)
    figures = precision.figures()
    assert figures.by_class["person"]["ap50"] == figures.by_class["car"]["ap_small"] == 0.0
    assert figures.by_class["bus"]["ap50"] is figures.by_class["car"]["ap_large"] is None


def test_every_figure_is_that_of_pycocotools() -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="needs pycocotools")
    cocoeval = pytest.importorskip("pycocotools.cocoeval", reason="needs pycocotools")
    rng = np.random.default_rng(3)
    names = ("person", "car", "bus")
    ours = BoxPrecision(names)
    images, truth, results = [], [], []
    for image in range(1, 13):
        boxes, labels, ignored, detections = scene(rng, classes=3)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1).astype(np.float64) * 0.7
        ours.add(detections, boxes, labels, ignored, areas=areas)
        images.append({"id": image})
        for box, label, crowd, area in zip(xywh(boxes), labels, ignored, areas, strict=True):
            entry = {"id": len(truth) + 1, "image_id": image, "category_id": int(label) + 1, "bbox": box}
            truth.append(entry | {"area": float(area), "iscrowd": int(crowd)})
        rows = zip(xywh(detections.boxes), detections.labels, detections.scores, strict=True)
        results += [{"image_id": image, "category_id": int(k) + 1, "bbox": b, "score": float(s)} for b, k, s in rows]
    with contextlib.redirect_stdout(io.StringIO()):
        ground = coco.COCO()
        ground.dataset = {"images": images, "annotations": truth, "categories": [{"id": i + 1} for i in range(3)]}
        ground.createIndex()
        reference = cocoeval.COCOeval(ground, ground.loadRes(results), "bbox")
        reference.evaluate()
        reference.accumulate()
        reference.summarize()
    keys = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar1", "ar10", "ar100")
    by_class = ours.figures().by_class
    for key, expected in zip(keys, reference.stats, strict=False):
        known = [row[key] for row in by_class.values() if row[key] is not None]
        assert np.mean(known) == pytest.approx(expected, abs=1e-6), key
    assert 0.1 < reference.stats[0] < 0.9  # a figure that could be wrong
