"""Panoptic quality and the merge on the two photographs that the panoptic API is published with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.messages import Classes, Detections, Transform
from stages.models.evaluation.panoptic_quality import VOID, PanopticQuality
from stages.models.labelled.masks import run_length_mask
from stages.segment.merge import merge_instances

Int = NDArray[np.int64]
PHOTOGRAPHS = (0, 1)


@dataclass(frozen=True)
class Published:
    """The sample: classes, things first; each photograph's label and instance [H, W, 2]; masks of its segments."""

    classes: Classes
    truths: tuple[Int, ...]
    detections: tuple[list[dict[str, Any]], ...]  # of each photograph, COCO's detection format
    label_of: dict[int, int]

    def quality(self) -> PanopticQuality:
        return PanopticQuality(self.classes.names, things=len(self.classes.things))


@pytest.fixture(scope="module")
def published(shared_data: Path) -> Published:
    folder = shared_data / "panoptic" / "coco-sample"
    told = json.loads((folder / "panoptic_examples.json").read_text())
    flat = json.loads((folder / "panoptic_coco_detection_format.json").read_text())
    things = [one for one in told["categories"] if one["isthing"]]
    stuff = [one for one in told["categories"] if not one["isthing"]]
    label_of = {one["id"]: label for label, one in enumerate(things + stuff)}
    truths = []
    for record in told["annotations"]:
        coded = cv2.imread(str(folder / record["file_name"])).astype(np.int64)
        ids = coded @ np.array([65536, 256, 1])  # R + 256 G + 65536 B, read as B, G, R
        truth = np.full((*ids.shape, 2), (VOID, 0), np.int64)
        for number, segment in enumerate(record["segments_info"], start=1):
            label = label_of[segment["category_id"]]
            if not segment["iscrowd"]:  # what is found on a crowd is neither right nor wrong
                truth[ids == segment["id"]] = (label, number if label < len(things) else 0)
            assert (ids == segment["id"]).sum() == segment["area"]
        truths.append(truth)
    of_photograph = tuple(
        [one for one in flat["annotations"] if one["image_id"] == record["image_id"]] for record in told["annotations"]
    )
    names = tuple(one["name"] for one in things), tuple(one["name"] for one in stuff)
    return Published(Classes(*names), tuple(truths), of_photograph, label_of)


def test_the_sample_against_itself_is_perfect(published: Published) -> None:
    quality = published.quality()
    for truth in published.truths:
        quality.add(truth, truth)
    for group in quality.quality().values():
        assert group == {"pq": pytest.approx(1.0), "sq": pytest.approx(1.0), "rq": pytest.approx(1.0)}
    shown = [one for one in quality.by_class().values() if one["pq"] is not None]
    assert len(shown) == len({int(label) for truth in published.truths for label in np.unique(truth[..., 0])} - {VOID})
    assert len(shown) == 8


def moved(rng: np.random.Generator, truth: Int) -> Int:
    """All of it shifted by some pixels."""
    return np.roll(truth, tuple(int(by) for by in rng.integers(-6, 7, 2)), (0, 1))


def halved(rng: np.random.Generator, truth: Int) -> Int:
    """Instances cut at a column into two."""
    guess, column = truth.copy(), int(rng.integers(150, 450))
    right = guess[:, column:]
    right[..., 1] = np.where(right[..., 1] > 0, right[..., 1] + 500, 0)
    return guess


def lost(rng: np.random.Generator, truth: Int) -> Int:
    """Some instances are void, and a strip of everything."""
    guess = truth.copy()
    gone = rng.choice(np.unique(truth[..., 1])[1:], 5, replace=False)
    guess[np.isin(truth[..., 1], gone)] = (VOID, 0)
    guess[200:230] = (VOID, 0)
    return guess


def mistaken(rng: np.random.Generator, truth: Int) -> Int:
    """Some instances are of another class, and what is void is something."""
    guess = truth.copy()
    wrong = rng.choice(np.unique(truth[..., 1])[1:], 5, replace=False)
    guess[np.isin(truth[..., 1], wrong), 0] = 7
    guess[truth[..., 0] == VOID] = (3, 900)
    return guess


def blurred(rng: np.random.Generator, truth: Int) -> Int:
    """Every pixel is that of a neighbour by chance."""
    h, w = truth.shape[:2]
    y, x = np.mgrid[:h, :w]
    y, x = (y + rng.integers(-3, 4, (h, w))).clip(0, h - 1), (x + rng.integers(-3, 4, (h, w))).clip(0, w - 1)
    return truth[y, x]


PERTURBED = {"moved": moved, "halved": halved, "lost": lost, "mistaken": mistaken, "blurred": blurred}


@pytest.mark.parametrize("how", PERTURBED)
def test_perturbed_copies_have_the_quality_that_torchmetrics_gives(published: Published, how: str) -> None:
    detection = pytest.importorskip("torchmetrics.detection", reason="needs torchmetrics")
    import torch

    rng = np.random.default_rng(11)
    things, count = len(published.classes.things), len(published.classes.names)
    # A class more, for what is void in the found map: torchmetrics would forgive a miss there, the paper does not.
    theirs = detection.PanopticQuality(
        things=set(range(things)),
        stuffs=set(range(things, count + 1)),
        return_sq_and_rq=True,
        return_per_class=True,
    )
    ours = published.quality()
    for truth in published.truths:
        guess = PERTURBED[how](rng, truth)
        ours.add(guess, truth)
        both = []
        for labelled, void in ((guess, (count, 0)), (truth, theirs.void_color)):
            told = labelled.copy()
            told[labelled[..., 0] == VOID] = void
            both.append(torch.from_numpy(told)[None])
        theirs.update(*both)
    expected = theirs.compute().numpy().reshape(count + 1, 3)
    of_class = ours.by_class()
    for label, name in enumerate(published.classes.names):
        row = [of_class[name][key] or 0.0 for key in ("pq", "sq", "rq")]
        assert row == pytest.approx(expected[label], abs=1e-5), name
    pq = ours.quality()["all"]["pq"]
    assert pq is not None
    assert 0.2 < pq < 0.99


@pytest.mark.parametrize("photograph", PHOTOGRAPHS)
def test_its_segments_merged_give_the_published_map(published: Published, photograph: int) -> None:
    """The masks of the detection format, in any order: none covers another, so that nothing may be lost."""
    truth, rows = published.truths[photograph], published.detections[photograph]
    height, width = truth.shape[:2]
    things = [row for row in rows if published.classes.is_thing(published.label_of[row["category_id"]])]
    masks = np.stack([run_length_mask(row["segmentation"]["counts"], width=width, height=height) for row in things])
    label_at = np.full((height, width), VOID, np.int32)
    for row in rows:
        if row not in things:
            stuff = run_length_mask(row["segmentation"]["counts"], width=width, height=height)
            label_at[stuff] = published.label_of[row["category_id"]]
    rng = np.random.default_rng(photograph)
    detections = Detections.of(
        np.array([row["bbox"] for row in things], np.float32),
        rng.uniform(0.5, 1, len(things)).astype(np.float32),
        np.array([published.label_of[row["category_id"]] for row in things], np.int32),
    )
    out = merge_instances(
        masks, detections, label_at, classes=published.classes, transform=Transform(), min_stuff_area=0.0
    )
    labels = np.concatenate([[VOID], out.segments.labels])
    instances = np.concatenate([[0], np.where(out.segments.is_thing, out.segments.ids, 0)])
    merged = np.stack([labels[out.ids], instances[out.ids]], -1).astype(np.int64)
    quality = published.quality()
    quality.add(merged, truth)
    assert quality.quality()["all"]["pq"] == pytest.approx(1.0)
    named = truth[..., 0] != VOID
    assert np.array_equal(merged[named, 0], truth[named, 0])
    assert [row["area"] for row in things] == masks.sum((1, 2)).tolist()
    areas = np.zeros(len(things), np.int64)
    index = out.segments.detection_index
    areas[index[index >= 0]] = out.segments.areas[index >= 0]
    assert areas.tolist() == masks.sum((1, 2)).tolist()
