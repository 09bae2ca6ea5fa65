"""The readers of COCO's two forms on real photographs, beside pycocotools and the files' own words."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as pycoco

from pipeline.messages import Classes
from stages.models.labelled.coco import outline_mask
from stages.models.labelled.sample import FIRST_OBJECT, Sample
from stages.models.labelled.specs import CocoPanopticSpec, CocoSpec, YoloSpec, open_pictures
from stages.models.labelled.taxonomy import Taxonomy
from tests.require import skip_without

COCO = Path(__file__).resolve().parents[5] / "shared" / "data" / "coco"
STREET = Taxonomy(
    classes=Classes(("person", "car", "truck"), ("sky", "vegetation")),
    gathers={"sky": ("sky-other-merged",), "vegetation": ("tree-merged", "grass-merged"), "truck": ("bus",)},
)
pytestmark = pytest.mark.shared


@pytest.fixture(autouse=True)
def needs_the_photographs() -> None:
    if not COCO.is_dir():
        skip_without("shared", lacking=f"the photographs of {COCO}")


def told(name: str) -> Any:
    return json.loads((COCO / name).read_text())


def instances(**options: Any) -> CocoSpec:
    return CocoSpec(images=str(COCO / "images"), labels=str(COCO / "instances.json"), **options)


def test_every_object_of_the_classes_is_there() -> None:
    file = told("instances.json")
    names = {category["id"]: category["name"] for category in file["categories"]}
    pictures = open_pictures(instances(), STREET)
    assert len(pictures) == len(file["images"])
    expected = Counter(STREET.label(names[one["category_id"]]) for one in file["annotations"])
    found = Counter(int(label) for i in range(len(pictures)) for label in pictures[i].labels)
    assert found == {label: expected[label] for label in range(3)}


def tight_box(sample: Sample, index: int) -> np.ndarray[Any, Any]:
    rows, columns = np.nonzero(sample.regions == FIRST_OBJECT + index)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def test_pixels_lie_in_their_boxes_and_mostly_fill_them() -> None:
    pictures = open_pictures(instances(limit=60), STREET)
    off = []
    for i in range(len(pictures)):
        sample = pictures[i]
        for n, box in enumerate(sample.boxes):
            if (sample.regions == FIRST_OBJECT + n).any():
                assert (tight_box(sample, n)[:2] >= box[:2] - 1.5).all()
                assert (tight_box(sample, n)[2:] <= box[2:] + 1.5).all()
                off.append(np.abs(tight_box(sample, n) - box).max())
    assert np.mean(np.array(off) <= 1.5) > 0.9  # the others are partly behind something


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools with numpy 2
def test_outlines_are_those_of_pycocotools() -> None:
    file = told("instances.json")
    sizes = {image["id"]: (image["width"], image["height"]) for image in file["images"]}
    overlaps = []
    for annotation in file["annotations"][::8] + [one for one in file["annotations"] if one["iscrowd"]]:
        width, height = sizes[annotation["image_id"]]
        ours = outline_mask(json.dumps(annotation["segmentation"]).encode(), (width, height))
        assert ours is not None
        runs = pycoco.frPyObjects(annotation["segmentation"], height, width)
        theirs = pycoco.decode(pycoco.merge(runs) if isinstance(runs, list) else runs).astype(bool)
        if annotation["iscrowd"]:
            assert np.array_equal(ours, theirs)
        elif annotation["area"] > 400:
            overlaps.append((ours & theirs).sum() / (ours | theirs).sum())
    assert np.mean(overlaps) > 0.97
    assert np.min(overlaps) > 0.75  # thin ones differ: there a pixel counts that is touched, here whose middle is in


def test_yolo_boxes_are_those_of_the_panoptic_file() -> None:
    boxes = YoloSpec(
        images=str(COCO / "images"), labels=str(COCO / "yolo-labels-panoptic-images"), names="coco", missing="skip"
    )
    maps = CocoPanopticSpec(images=str(COCO / "images"), labels=str(COCO / "panoptic.json"))
    one, other = open_pictures(boxes, STREET), open_pictures(maps, STREET)
    by_key = {one.key(i): i for i in range(len(one))}
    found = total = 0
    both = [i for i in range(len(other)) if other.key(i) in by_key]
    assert len(both) > 50
    for i in both[::2]:
        mapped, boxed = other[i], one[by_key[other.key(i)]]
        assert np.array_equal(mapped.image, boxed.image)
        large = (mapped.visibility > 0) & ((mapped.boxes[:, 2:] - mapped.boxes[:, :2]).min(1, initial=999) > 40)
        for box, label in zip(mapped.boxes[large], mapped.labels[large], strict=True):
            distance = np.abs(boxed.boxes[boxed.labels == label] - box).max(1, initial=0)
            found += bool((distance < 20).any())
            total += 1
    assert found / total > 0.9


def test_both_parts_are_the_whole_and_share_no_picture() -> None:
    keys = [
        {pictures.key(i) for i in range(len(pictures))}
        for pictures in (open_pictures(instances(hold_out=0.25), STREET, part=part) for part in ("train", "held-out"))
    ]
    assert not keys[0] & keys[1]
    assert len(keys[0]) + len(keys[1]) == 415
    assert 0.15 < len(keys[1]) / 415 < 0.35


def test_panoptic_areas_are_those_of_the_file() -> None:
    file = told("panoptic.json")
    names = {category["id"]: category["name"] for category in file["categories"]}
    spec = CocoPanopticSpec(images=str(COCO / "images"), labels=str(COCO / "panoptic.json"))
    pictures = open_pictures(spec, STREET)
    assert len(pictures) == len(file["annotations"])
    for i, annotation in enumerate(file["annotations"]):
        sample = pictures[i]
        areas: Counter[int | None] = Counter()
        for segment in annotation["segments_info"]:
            areas[STREET.label(names[segment["category_id"]])] += segment["area"]
        classes = np.full(256, -1)
        classes[1:3] = (3, 4)
        classes[FIRST_OBJECT : FIRST_OBJECT + len(sample.labels)] = sample.labels
        found = Counter(classes[sample.regions].ravel().tolist())
        assert {label: found[label] for label in range(5)} == {label: areas[label] for label in range(5)}
