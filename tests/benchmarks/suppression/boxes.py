"""What the detectors find before anything is suppressed, beside what is there: looked at once, kept where asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config import EMBEDDED_MODEL, DetectorConfig
from pipeline.messages import Batch, BatchDetections, Detections
from stages.detect import COCO_CLASSES, build_detector
from stages.models.evaluation.subject import frame_of
from stages.models.labelled.parts import place_of
from stages.models.labelled.taxonomy import world_taxonomy
from tests.benchmarks.accuracy import DETECTORS, SCORE_THRESHOLD, SHARED, instances_truth, objects_of

CROWDED = 10  # things of one class in a picture
FIRST_WORLD = 5_000_000
Rgb = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """What is there in a picture: boxes [G, 4] xyxy, labels, whether each is ignored, and areas [G]."""

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    areas: NDArray[np.float64]

    def crowds(self) -> frozenset[int]:
        """Labels of which there are `CROWDED` or more."""
        counts = Counter(self.labels[~self.ignored].tolist())
        return frozenset(label for label, count in counts.items() if count >= CROWDED)

    def of(self, labels: frozenset[int]) -> Objects:
        """Those of these labels alone."""
        rows = np.isin(self.labels, list(labels))
        return Objects(self.boxes[rows], self.labels[rows], self.ignored[rows], self.areas[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """All pictures of a set through one detector: candidates from `SCORE_THRESHOLD`, not suppressed."""

    name: str  # of the pictures
    classes: tuple[str, ...]
    keys: tuple[str, ...]
    objects: tuple[Objects, ...]
    found: BatchDetections

    def half(self, second: bool) -> list[int]:
        """The pictures of one half: which, a BLAKE2b of their names says."""
        return [i for i, key in enumerate(self.keys) if (place_of(key, purpose="suppression") >= 0.5) == second]


def look(detector: str, *, limit: int | None, worlds: int, kept: Path | None) -> Looked:
    """A detector's candidates, read from the folder `kept` where they are there already, else written into it."""
    file = None if kept is None else kept / f"{detector}-{limit or 'all'}-{worlds}.npz"
    if file is not None and file.is_file():
        return _read(file)
    looked = _look_at_worlds(worlds) if detector == EMBEDDED_MODEL else _look_at_photographs(detector, limit)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        _write(file, looked)
    return looked


def _look_at_photographs(detector: str, limit: int | None) -> Looked:
    """COCO's photographs with instance annotations; crowds are ignored."""
    coco = SHARED / "coco"
    truth = instances_truth(coco)
    images = truth["images"][:limit]
    file = next(SHARED / "weights" / f"{name}.onnx" for name in DETECTORS if name == detector)
    pictures = (_photograph(coco / "images" / image["file_name"]) for image in images)
    return Looked(
        "COCO instances",
        COCO_CLASSES,
        tuple(image["file_name"] for image in images),
        tuple(Objects(*objects_of(truth, image["id"])) for image in images),
        _candidates(str(file), pictures),
    )


def _photograph(path: Path) -> Rgb:
    return np.asarray(cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def _look_at_worlds(count: int) -> Looked:
    """Crowded streets never trained on; what can hardly be seen is ignored, as `everyframe evaluate` has it."""
    from stages.models.evaluation.truth import truth_of
    from stages.models.labelled.world import sample_of
    from stages.models.labelled.world_pictures import in_classes_of
    from stages.models.world import World
    from stages.models.world.traffic import Crowd

    taxonomy = world_taxonomy()
    crowd = Crowd(vehicles=10, cyclists=6, walkers=30, standers=6)
    pictures, objects = [], []
    for seed in range(FIRST_WORLD, FIRST_WORLD + count):
        frame = World(seed, split="unseen", width=640, height=360, crowd=crowd).render()
        sample = in_classes_of(sample_of(frame), taxonomy)
        truth = truth_of(sample, ignoring="world", things=len(taxonomy.things))
        pictures.append(sample.image)
        objects.append(Objects(truth.boxes, truth.labels, truth.ignored, truth.areas))
    keys = tuple(f"world {seed}" for seed in range(FIRST_WORLD, FIRST_WORLD + count))
    found = _candidates(EMBEDDED_MODEL, pictures)
    return Looked("crowded worlds", taxonomy.things, keys, tuple(objects), found)


def _candidates(model: str, pictures: Iterator[Rgb] | Sequence[Rgb]) -> BatchDetections:
    config = DetectorConfig(model=model, precision="f32", threads=1, score_threshold=SCORE_THRESHOLD)
    detector = build_detector(config)
    found: list[Detections] = []
    try:
        for picture in pictures:
            batch = detector(Batch((frame_of(picture),)))
            assert batch.detections is not None
            one = batch.detections[0]
            found.append(Detections.of(one.boxes, one.scores, one.labels))
    finally:
        detector.close()
    return BatchDetections.of(found)


def _write(file: Path, looked: Looked) -> None:
    bounds = np.cumsum([0, *(len(one.labels) for one in looked.objects)])
    columns = ("boxes", "labels", "ignored", "areas")
    np.savez_compressed(
        file,
        name=np.array(looked.name),
        classes=np.array(looked.classes),
        keys=np.array(looked.keys),
        bounds=bounds,
        found_boxes=looked.found.boxes,
        found_scores=looked.found.scores,
        found_labels=looked.found.labels,
        found_bounds=looked.found.bounds,
        **{name: np.concatenate([getattr(one, name) for one in looked.objects]) for name in columns},
    )


def _read(file: Path) -> Looked:
    with np.load(file, allow_pickle=False) as kept:
        bounds = kept["bounds"].tolist()
        columns = [kept[name] for name in ("boxes", "labels", "ignored", "areas")]
        objects = [Objects(*(column[first:last] for column in columns)) for first, last in pairwise(bounds)]
        boxes, scores, labels, of = (kept[f"found_{name}"] for name in ("boxes", "scores", "labels", "bounds"))
        found = BatchDetections(boxes, scores, labels, scores, None, of)
        names = tuple(kept["classes"].tolist()), tuple(kept["keys"].tolist())
        return Looked(str(kept["name"]), *names, tuple(objects), found)
