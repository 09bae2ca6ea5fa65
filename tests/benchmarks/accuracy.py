"""Box AP of detectors on the photographs beside the checkout, through the product's own stages.

    python -m tests.benchmarks.accuracy [--detector FILE ...] [--precision f32 bf16] [--limit N] [--output FILE.json]

Two sets of COCO 2017 photographs: ``labelled``, the 126 of the 128 with YOLO label files whose pictures are there (on
which the figures of the data page were measured), and ``instances``, the 415 with instance annotations.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config import DetectorConfig, SuppressConfig
from pipeline.messages import Batch, Detections, Frame, Surface
from stages.detect import COCO_CLASSES, Detect, build_detector
from stages.models.evaluation.box_precision import BoxPrecision
from stages.models.evaluation.panoptic_quality import mean
from stages.suppress import Suppress

SHARED = Path(__file__).parents[3] / "shared" / "data"
DETECTORS = ("yolox_nano_416", "picodet_s_416_coco", "nanodet_m_416", "fastestdet_352")
# As upstream evaluates: everything above nearly nothing, then hard NMS.
SCORE_THRESHOLD = 0.001
REFERENCE_NMS = SuppressConfig(method="hard", iou_threshold=0.65, score_threshold=SCORE_THRESHOLD, max_detections=100)
PRODUCT_NMS = SuppressConfig(score_threshold=SCORE_THRESHOLD, max_detections=100)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What COCO's evaluation says."""

    photographs: int
    ap: float
    ap50: float
    person_ap50: float


Truth = dict[str, Any]  # COCO's own JSON, category ids 1..80 in label order


def labelled_truth(coco: Path) -> Truth:
    """Boxes of the photographs with YOLO label files: a line an object, class and centre and size in pictures."""
    images, annotations = [], []
    for file in sorted((coco / "yolo-labels-panoptic-images").glob("*.txt")):
        photo = coco / "images" / f"{file.stem}.jpg"
        if not photo.is_file():
            continue
        height, width = cv2.imread(str(photo)).shape[:2]
        images.append({"id": int(file.stem), "file_name": f"{file.stem}.jpg", "width": width, "height": height})
        for line in file.read_text(encoding="ascii").splitlines():
            label, cx, cy, w, h = (float(value) for value in line.split())
            box = [(cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height]
            annotations.append(_annotation(len(annotations) + 1, int(file.stem), int(label), box))
    return _truth(images, annotations)


def instances_truth(coco: Path) -> Truth:
    """Boxes of the photographs with instance annotations; crowds are to be ignored."""
    given = json.loads((coco / "instances.json").read_text(encoding="utf-8"))
    labels = {c["id"]: COCO_CLASSES.index(c["name"]) for c in given["categories"]}
    annotations = [
        _annotation(i + 1, a["image_id"], labels[a["category_id"]], a["bbox"], area=a["area"], crowd=a["iscrowd"])
        for i, a in enumerate(given["annotations"])
    ]
    return _truth(given["images"], annotations)


def _annotation(
    number: int, image: int, label: int, box: Sequence[float], *, area: float | None = None, crowd: int = 0
) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image,
        "category_id": label + 1,
        "bbox": list(box),
        "area": box[2] * box[3] if area is None else area,
        "iscrowd": crowd,
    }


def _truth(images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> Truth:
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(COCO_CLASSES)]
    return {"images": images, "annotations": annotations, "categories": categories}


SETS = {"labelled": labelled_truth, "instances": instances_truth}


def first(truth: Truth, limit: int | None) -> Truth:
    """The truth of the first `limit` photographs."""
    images = truth["images"][:limit]
    kept = {image["id"] for image in images}
    return {**truth, "images": images, "annotations": [a for a in truth["annotations"] if a["image_id"] in kept]}


def objects_of(
    truth: Truth, image: int
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
    """Boxes [G, 4] xyxy, labels, whether each is a crowd, and areas of one photograph's objects."""
    objects = [a for a in truth["annotations"] if a["image_id"] == image]
    boxes = np.array([a["bbox"] for a in objects], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return (
        boxes,
        np.array([a["category_id"] - 1 for a in objects], np.int64),
        np.array([a["iscrowd"] for a in objects], np.bool_),
        np.array([a["area"] for a in objects], np.float64),
    )


def photograph(path: Path) -> Frame:
    """A picture file as a decoded frame."""
    rgb = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return Frame("photograph", 1, 0, 0, Fraction(1), 0, "recording", 0, Surface("rgb24", (rgb.astype(np.uint8),)))


def detect(detector: Detect, truth: Truth, *, coco: Path) -> Iterable[tuple[int, Detections]]:
    """Candidates of every photograph, with its id."""
    for image in truth["images"]:
        batch = detector(Batch((photograph(coco / "images" / image["file_name"]),)))
        assert batch.detections is not None
        yield image["id"], batch.detections[0]


def suppressed(found: Iterable[tuple[int, Detections]], config: SuppressConfig) -> Iterator[tuple[int, Detections]]:
    """What is left of every photograph's candidates."""
    suppress = Suppress(config)
    for image, candidates in found:
        blank = Frame("photograph", 1, 0, 0, Fraction(1), 0, "recording", 0, Surface("rgb24", (_PIXEL,)))
        kept = suppress(Batch((blank,), detections=(candidates,))).detections
        assert kept is not None
        yield image, kept[0]


_PIXEL = np.zeros((1, 1, 3), dtype=np.uint8)


def evaluate(truth: Truth, found: Iterable[tuple[int, Detections]]) -> Accuracy:
    """COCO's box evaluation, as `everyframe evaluate` has it; a photograph that is not in `found` shows nothing."""
    precision, given = BoxPrecision(COCO_CLASSES), dict(found)
    for image in truth["images"]:
        boxes, labels, crowds, areas = objects_of(truth, image["id"])
        precision.add(given.get(image["id"], Detections.empty()), boxes, labels, crowds, areas=areas)
    figures = precision.figures().by_class
    ap, ap50 = (mean(row[key] for row in figures.values()) or 0.0 for key in ("ap", "ap50"))
    return Accuracy(len(truth["images"]), ap, ap50, figures["person"]["ap50"] or 0.0)


def measure(model: Path, *, precision: str, truth: Truth, coco: Path, backend: str = "auto") -> dict[str, Accuracy]:
    """Accuracy of one model after upstream's hard NMS and after the product's default suppression."""
    config = DetectorConfig(
        model=str(model), precision=precision, backend=backend, threads=1, score_threshold=SCORE_THRESHOLD
    )
    detector = build_detector(config, lanes=1)
    try:
        found = list(detect(detector, truth, coco=coco))
    finally:
        detector.close()
    return {
        "hard": evaluate(truth, suppressed(found, REFERENCE_NMS)),
        "soft": evaluate(truth, suppressed(found, PRODUCT_NMS)),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, write it as JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.accuracy", description=__doc__.splitlines()[0])
    parser.add_argument("--detector", type=Path, nargs="*", help="ONNX files (default: all of the shared ones)")
    parser.add_argument("--precision", nargs="*", default=["f32", "bf16"], choices=["f32", "bf16"])
    parser.add_argument("--set", nargs="*", default=list(SETS), choices=list(SETS), dest="sets")
    parser.add_argument("--limit", type=int, help="only the first N photographs of each set")
    parser.add_argument("--output", type=Path, help="write the table as JSON")
    options = parser.parse_args(arguments)
    coco = SHARED / "coco"
    if not coco.is_dir():
        print(f"no photographs in {coco}", file=sys.stderr)
        return 1
    models = options.detector or [SHARED / "weights" / f"{name}.onnx" for name in DETECTORS]
    rows = []
    print(
        f"{'detector':<22} {'set':<10} {'precision':<9} {'NMS':<5} {'n':>4} {'AP':>6} {'AP50':>6} {'person AP50':>11}"
    )
    for name in options.sets:
        truth = first(SETS[name](coco), options.limit)
        for model in models:
            for precision in options.precision:
                for nms, got in measure(model, precision=precision, truth=truth, coco=coco).items():
                    rows.append(
                        {"detector": model.stem, "set": name, "precision": precision, "nms": nms, **asdict(got)}
                    )
                    print(
                        f"{model.stem:<22} {name:<10} {precision:<9} {nms:<5} {got.photographs:>4} {got.ap:>6.3f} "
                        f"{got.ap50:>6.3f} {got.person_ap50:>11.3f}",
                        flush=True,
                    )
    if options.output is not None:
        options.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
