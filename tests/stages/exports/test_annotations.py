"""COCO's two schemas, as pycocotools and torchmetrics take them."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from stages.exports.lines import read_items
from tests.stages.exports.recordings import (
    CAR,
    PERSON,
    ROAD,
    Recording,
    export,
    lost,
    recording,
    results_in,
    without_masks,
    without_objects,
)


def read(folder: Path, name: str = "coco") -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return values


def opened(path: Path) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def average_precision(path: Path, kind: str) -> float:
    """Of the annotations with such a shape, against themselves."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        rows = [row for row in truth.dataset["annotations"] if kind == "bbox" or "segmentation" in row]
        truth.dataset["annotations"] = rows
        truth.createIndex()
        own = ("image_id", "category_id", "bbox", "segmentation", "score")
        found = truth.loadRes([{k: row[k] for k in own if k in row} for row in rows])
        judged = COCOeval(truth, found, kind)
        judged.params.maxDets = [1, 10, 1000]
        judged.evaluate()
        judged.accumulate()
        precision = judged.eval["precision"][..., -1]  # with as many boxes a picture as there are
        return float(np.mean(precision[precision > -1]))


def test_pycocotools_takes_real_results_as_truth_and_as_found(crossing: Path) -> None:
    folder = crossing / "crossing"
    export(folder, crossing / "crossing.mp4", "coco")
    results = results_in(read_items(folder / "results.jsonl"))
    coco = opened(folder / "coco.json")
    assert len(coco.imgs) == len(results)
    assert len(coco.anns) == sum(len(result.detections) for result in results)
    assert [row["name"] for row in coco.loadCats(coco.getCatIds())] == list(results[0].classes.names)
    masks = [row for row in coco.loadAnns(coco.getAnnIds(imgIds=[5])) if "segmentation" in row]
    assert len(masks) > 3
    assert all(coco.annToMask(row).sum() == row["area"] for row in masks)
    for kind in ("bbox", "segm"):  # near boxes of equal score may be taken for one another
        assert average_precision(folder / "coco.json", kind) == pytest.approx(1, abs=1e-4)


def test_an_annotation_is_a_detection(small: Recording, tmp_path: Path) -> None:
    values = read(small.into(tmp_path, "coco"))
    image, (car, person, other) = values["images"][2], values["annotations"][6:9]
    assert image["id"] == car["image_id"] == 3
    assert (image["file_name"], image["frame_number"], image["seq"]) == ("000000002.jpg", 2, 2)
    assert (image["width"], image["height"], image["pts_seconds"]) == (96, 64, 2 / 25)
    assert image["date_captured"] == "1970-01-01T00:00:00.080000+00:00"
    assert car["bbox"] == [8.0, 32.0, 24.0, 16.0]
    assert (car["category_id"], car["track_id"], car["score"], car["area"]) == (2, 1, 0.9, 24 * 16)
    assert car["segmentation"]["size"] == [64, 96]
    assert (person["category_id"], person["track_id"], person["iscrowd"]) == (1, 2, 0)
    assert "track_id" not in other
    assert "segmentation" not in other
    assert other["area"] == 12 * 8
    assert len({row["id"] for row in values["annotations"]}) == 36


def test_tracks_of_two_epochs_are_two(two_sizes: Recording, tmp_path: Path) -> None:
    folder = two_sizes.into(tmp_path, "coco", "coco-panoptic")
    values = read(folder)
    assert [image["id"] for image in values["images"]] == [*range(1, 25)]
    tracks = {(row["image_id"] > 12, row["track_id"]) for row in values["annotations"] if "track_id" in row}
    assert tracks == {(False, 1), (False, 2), (True, 4), (True, 5)}
    assert average_precision(folder / "coco.json", "segm") == pytest.approx(1)
    infos = read(folder, "panoptic")["annotations"]
    assert [row.get("track_id") for row in infos[12]["segments_info"]] == [None, 5, 4]


@pytest.mark.parametrize("name", ["coco", "coco-panoptic"])
def test_nothing_found_is_a_whole_file(name: str, small: Recording, tmp_path: Path) -> None:
    for folder, items in (
        ("objects", tuple(without_objects(result) for result in results_in(small.items))),
        ("results", ()),
    ):
        made = Recording(small.video, items).into(tmp_path / folder, name)
        values = read(made, "coco" if name == "coco" else "panoptic")
        assert values["annotations"] == []
        assert len(values["images"]) == (len(items) if name == "coco" else 0)
        assert len(values["categories"]) == (3 if items else 0)
        opened(made / ("coco.json" if name == "coco" else "panoptic.json"))
        assert name == "coco" or list((made / "panoptic").iterdir()) == []


def test_boxes_without_masks(small: Recording, tmp_path: Path) -> None:
    folder = recording(small.video, change=without_masks).into(tmp_path, "coco", "coco-panoptic")
    assert not any("segmentation" in row for row in read(folder)["annotations"])
    assert average_precision(folder / "coco.json", "bbox") == pytest.approx(1)
    assert read(folder, "panoptic")["images"] == []


def test_frames_of_a_gap_are_no_images(small: Recording, tmp_path: Path) -> None:
    folder = recording(small.video, change=lost(4, 6)).into(tmp_path, "coco", "coco-panoptic")
    expected = [0, 1, 2, 3, 7, 8, 9, 10, 11]
    for name in ("coco", "panoptic"):
        assert [image["frame_number"] for image in read(folder, name)["images"]] == expected
    assert sorted(path.name for path in (folder / "panoptic").iterdir()) == [f"{i:09d}.png" for i in expected]


def ids_in(path: Path) -> np.ndarray:
    """The id map of a PNG, by COCO's rule."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert picture is not None
    blue, green, red = (picture[..., i].astype(np.int64) for i in range(3))
    return np.asarray(red + 256 * green + 65536 * blue)


def test_pictures_and_tables_of_panoptic_agree(small: Recording, tmp_path: Path) -> None:
    folder = small.into(tmp_path, "coco-panoptic")
    values = read(folder, "panoptic")
    for result, row in zip(results_in(small.items), values["annotations"], strict=True):
        assert result.panoptic is not None
        ids = ids_in(folder / "panoptic" / row["file_name"])
        assert np.array_equal(ids, result.panoptic.at_size(96, 64))
        assert [part["id"] for part in row["segments_info"]] == [ROAD, PERSON, CAR]
        for part in row["segments_info"]:
            left, top, width, height = part["bbox"]
            rows, columns = np.nonzero(ids == part["id"])
            assert part["area"] == len(rows)
            assert (left, top) == (columns.min(), rows.min())
            assert (left + width, top + height) == (columns.max() + 1, rows.max() + 1)
    first = values["annotations"][0]["segments_info"]
    assert [(part["category_id"], part.get("track_id"), part.get("score")) for part in first] == [
        (3, None, None),
        (1, 2, 0.5),
        (2, 1, 0.9),
    ]
    assert [category["isthing"] for category in values["categories"]] == [1, 1, 0]


def test_an_id_above_255_is_in_the_second_colour(small: Recording, tmp_path: Path) -> None:
    def change(result: Any) -> Any:
        result.panoptic.ids[result.panoptic.ids == CAR] = 700
        result.panoptic.segments.ids[2] = 700
        return result

    folder = recording(small.video, change=change).into(tmp_path, "coco-panoptic", "coco")
    row = read(folder, "panoptic")["annotations"][0]
    assert row["segments_info"][2]["id"] == 700
    assert (ids_in(folder / "panoptic" / row["file_name"]) == 700).sum() == row["segments_info"][2]["area"] == 24 * 16


def test_torchmetrics_finds_real_maps_perfect(crossing: Path) -> None:
    detection = pytest.importorskip("torchmetrics.detection", reason="needs torchmetrics")
    import torch

    folder = crossing / "crossing"
    export(folder, crossing / "crossing.mp4", "coco-panoptic")
    values = read(folder, "panoptic")
    kinds = values["categories"]
    things = {kind["id"] for kind in kinds if kind["isthing"]}
    metric = detection.PanopticQuality(
        things=things, stuffs={kind["id"] for kind in kinds} - things, allow_unknown_preds_category=True
    )
    void = max(kind["id"] for kind in kinds) + 1
    row = values["annotations"][-1]
    ids = ids_in(folder / "panoptic" / row["file_name"])[::4, ::4]
    category = np.full(2**16, void)
    for part in row["segments_info"]:
        category[part["id"]] = part["category_id"]
    pixels = np.stack([category[ids], ids], axis=-1)[category[ids] != void]  # void takes no part
    assert len(pixels) > 0.5 * ids.size
    given = torch.from_numpy(pixels[None])
    metric.update(given, given)
    assert float(metric.compute()) == pytest.approx(1)
    shifted = given.clone()
    shifted[..., 1] = shifted[..., 1] // 2
    metric.update(shifted, given)
    assert float(metric.compute()) < 0.99
