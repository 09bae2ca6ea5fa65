"""Models held against pictures in memory: full marks for the truth itself, and nothing held against anybody wrongly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.messages import Classes, Detections, ModelInfo
from stages.models.evaluation.figures import Figures
from stages.models.evaluation.files import write_files
from stages.models.evaluation.measure import DataSet, measure
from stages.models.evaluation.subject import Found, relabelled, relabelling
from stages.models.evaluation.table import table
from stages.models.evaluation.truth import truth_of
from stages.models.labelled.sample import FIRST_OBJECT, Sample
from stages.models.labelled.taxonomy import Taxonomy

pytest.importorskip("faster_coco_eval", reason="needs faster-coco-eval, of the eval extra")

TAXONOMY = Taxonomy(classes=Classes(("person", "car"), ("road", "sky")), gathers={"road": ("street",)})


class Listed:
    """Pictures in memory."""

    def __init__(self, *samples: Sample) -> None:
        self.name, self.samples = "a list", samples

    def __len__(self) -> int:
        return len(self.samples)

    def key(self, index: int) -> str:
        return f"picture-{index}"

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


class Told:
    """A model that gives what it was told, with the labels of its own classes."""

    def __init__(self, name: str, classes: Classes, *answers: Found, masks: bool = True) -> None:
        self.name, self.classes, self.answers, self.has_masks = name, classes, answers, masks
        self.info = ModelInfo(name, "1")

    def labels(self, taxonomy: Taxonomy) -> frozenset[int]:
        known = relabelling(self.classes, taxonomy)
        kept = known if self.has_masks else known[: len(self.classes.things)]
        return frozenset(label for label in kept.tolist() if label >= 0)

    def __call__(self, image: np.ndarray, taxonomy: Taxonomy, *, seq: int) -> Found:
        answer = self.answers[seq]
        own = relabelled(answer.detections, relabelling(self.classes, taxonomy), things=len(taxonomy.things))
        return Found(own, answer.panoptic if self.has_masks else None)


def sample(*, crowd: bool = False, known: np.ndarray | None = None) -> Sample:
    """A person, a car and perhaps a crowd of people on a road under the sky; a corner is void."""
    regions = np.full((60, 80), 1, np.uint8)
    regions[:20] = 2
    boxes, labels, visibility = [[10, 25, 20, 45], [40, 30, 70, 50]], [0, 1], [1.0, 0.6]
    if crowd:
        boxes, labels, visibility = [*boxes, [60, 22, 79, 30]], [*labels, 0], [*visibility, 0.0]
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        regions[y0:y1, x0:x1] = FIRST_OBJECT + i
    regions[50:, :10] = 0
    image = np.zeros((60, 80, 3), np.uint8)
    as_arrays = (np.array(boxes, np.float32), np.array(labels, np.int64), np.array(visibility, np.float32))
    return Sample(image, regions, *as_arrays, known)


def perfect(of: Sample, *, score: float = 0.9) -> Found:
    truth = truth_of(of, ignoring="coco", things=2)
    kept = ~truth.ignored
    boxes, labels = truth.boxes[kept], truth.labels[kept].astype(np.int32)
    return Found(Detections.of(boxes, np.full(len(boxes), score, np.float32), labels), truth.pixels)


def with_more(found: Found, box: list[float], label: int, *, score: float = 0.95) -> Found:
    """The same with a detection and its pixels more."""
    one = found.detections
    boxes = np.concatenate([one.boxes, np.array([box], np.float32)])
    scores = np.append(one.scores, np.float32(score))
    labels = np.append(one.labels, np.int32(label))
    assert found.panoptic is not None
    pixels = found.panoptic.copy()
    x0, y0, x1, y1 = (int(edge) for edge in box)
    pixels[y0:y1, x0:x1] = (label, 99)
    return Found(Detections.of(boxes, scores, labels), pixels)


def figures_of(picture: Sample, answer: Found) -> Figures:
    model = Told("told", TAXONOMY.classes, answer)
    return measure([model], [DataSet(Listed(picture), "coco")], TAXONOMY)  # type: ignore[list-item]


FULL = ("ap", "ap50", "voc_ap", "miou", "pixel_accuracy", "boundary_f1", "pq", "pq_things", "pq_stuff")


@pytest.mark.parametrize("crowd", [False, True], ids=["alone", "beside-a-crowd"])
def test_the_truth_itself_has_full_marks(crowd: bool) -> None:
    picture = sample(crowd=crowd)
    (model,) = figures_of(picture, perfect(picture)).models
    assert [model.means[key] for key in FULL] == [pytest.approx(1.0)] * len(FULL)
    assert model.confusion == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_what_is_found_in_a_crowd_or_in_void_counts_for_nothing() -> None:
    picture = sample(crowd=True)
    in_crowd = with_more(perfect(picture), [61, 22, 70, 30], 0)
    (model,) = figures_of(picture, in_crowd).models
    assert [model.means[key] for key in FULL] == [pytest.approx(1.0)] * len(FULL)
    outside = with_more(perfect(picture), [0, 22, 9, 30], 0)
    (model,) = figures_of(picture, outside).models
    assert model.by_class["person"]["ap50"] == pytest.approx(0.5)
    assert model.by_class["person"]["pq"] < 0.7  # type: ignore[operator]
    assert model.confusion[2][0] == 1


def test_a_class_that_is_not_labelled_throughout_is_not_held_against_a_model() -> None:
    known = np.array([False, True])
    picture = sample(known=known)
    (model,) = figures_of(picture, with_more(perfect(picture), [0, 22, 9, 30], 0)).models
    assert model.by_class["person"]["ap50"] == model.by_class["person"]["pq"] == pytest.approx(1.0)
    (model,) = figures_of(picture, with_more(perfect(picture), [0, 22, 9, 30], 1)).models
    assert model.by_class["car"]["ap50"] == pytest.approx(0.5)


def test_models_are_compared_on_the_classes_that_all_know() -> None:
    picture = sample()
    answer = perfect(picture)
    ours = Told("ours", TAXONOMY.classes, answer)
    # Cars are its label 0, and of people it knows nothing.
    car = Detections.of(answer.detections.boxes[1:], answer.detections.scores[1:], np.zeros(1, np.int32))
    theirs = Told("theirs", Classes(("car", "dog")), Found(car, None), masks=False)
    figures = measure([ours, theirs], [DataSet(Listed(picture), "coco")], TAXONOMY)  # type: ignore[list-item]
    assert (figures.compared_things, figures.compared_stuff) == (("car",), ("road", "sky"))
    assert [model.means["ap50"] for model in figures.models] == [pytest.approx(1.0)] * 2
    assert [model.classes for model in figures.models] == [("person", "car", "road", "sky"), ("car",)]
    assert "pq" not in figures.models[1].means
    assert "theirs" in table(figures)


@pytest.mark.parametrize("column", range(7))
def test_a_class_of_one_pixel_is_compared(column: int) -> None:
    picture = sample()
    picture.regions[picture.regions == 2] = 1
    picture.regions[0, column] = 2
    figures = figures_of(picture, perfect(picture))
    assert figures.compared_stuff == ("road", "sky")
    assert figures.models[0].means["pq_stuff"] == pytest.approx(1.0)


def test_gathered_names_and_classes_of_the_wrong_kind() -> None:
    table_of = relabelling(Classes(("sky", "car"), ("street", "person", "sea")), TAXONOMY)
    assert table_of.tolist() == [-1, 1, 2, -1, -1]


def test_files_hold_all_and_escape_names(tmp_path: Path) -> None:
    picture = sample()
    model = Told("<b>x", TAXONOMY.classes, perfect(picture))
    figures = measure([model], [DataSet(Listed(picture), "coco")], TAXONOMY)  # type: ignore[list-item]
    written = write_files(figures, tmp_path / "new")
    assert all(file.is_file() and file.stat().st_size for file in written)
    told = json.loads((tmp_path / "new" / "figures.json").read_text())
    assert told["models"][0]["means"]["ap50"] == pytest.approx(1.0)
    html = (tmp_path / "new" / "report.html").read_text()
    assert "<b>x" not in html
    assert "&lt;b&gt;x" in html
    assert html.count("data:image/png;base64,") == 4


def test_a_truth_of_boxes_alone_leaves_no_picture_of_pixels(tmp_path: Path) -> None:
    whole = sample()
    boxes_alone = replace(whole, regions=np.zeros_like(whole.regions))
    model = Told("told", TAXONOMY.classes, perfect(whole))
    figures = measure([model], [DataSet(Listed(boxes_alone), "coco")], TAXONOMY)  # type: ignore[list-item]
    assert figures.models[0].means["ap50"] == pytest.approx(1.0)
    names = {file.name for file in write_files(figures, tmp_path)}
    assert "told-confusion-boxes.png" in names
    assert "told-confusion-pixels.png" not in names
