"""COCO panoptic as a reader gives it, and maps that are not of their file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DataError
from stages.models.labelled.sample import FIRST_OBJECT
from stages.models.labelled.specs import CocoPanopticSpec, open_pictures
from tests.stages.models.labelled.making import HEIGHT, STREET, WIDTH, grey, picture

NAMES = ("person", "van", "sky-other-merged", "tree-merged")
LARGE = 3 + 256 * 7 + 65536 * 200  # an id in all three bytes


def id_map() -> np.ndarray:
    ids = np.zeros((HEIGHT, WIDTH), np.int64)
    ids[:10] = 5  # sky
    ids[10:15] = 6  # trees: no class of ours
    ids[20:25, 5:15] = LARGE  # a van
    ids[20:25, 20:40] = 9  # people, a crowd
    return ids


SEGMENTS = [
    {"id": LARGE, "category_id": 1, "iscrowd": 0, "bbox": [0, 0, 1, 1], "area": 1},
    {"id": 5, "category_id": 2},
    {"id": 6, "category_id": 3},
    {"id": 9, "category_id": 0, "iscrowd": 1},
]


def written(folder: Path, *, ids: np.ndarray | None = None, segments: list[dict[str, Any]] | None = None) -> Any:
    picture(folder / "images" / "a.jpg")
    ids = id_map() if ids is None else ids
    grey(folder / "panoptic" / "a.png", np.stack([ids & 255, ids >> 8 & 255, ids >> 16], -1).astype(np.uint8))
    told = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": segments or SEGMENTS}],
        "categories": [{"id": n, "name": name} for n, name in enumerate(NAMES)],
    }
    (folder / "panoptic.json").write_text(json.dumps(told))
    return CocoPanopticSpec(images=str(folder / "images"), labels=str(folder / "panoptic.json"))


def test_segments_are_stuff_objects_crowds_and_void(tmp_path: Path) -> None:
    sample = open_pictures(written(tmp_path), STREET)[0]
    assert (sample.regions[:10] == 2).all()
    assert not sample.regions[10:20].any()
    # objects stand in order of their ids
    assert sample.labels.tolist() == [0, 1]
    assert sample.visibility.tolist() == [0, 1]
    assert sample.boxes.tolist() == [[20, 20, 40, 25], [5, 20, 15, 25]]  # the map's, whatever the file says
    assert (sample.regions[20:25, 5:15] == FIRST_OBJECT + 1).all()


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        (SEGMENTS[1:], rf"a\.png: has pixels of segment {LARGE}, which the labels do not list"),
        ([*SEGMENTS, {"id": 77, "category_id": 0}], r"a\.png: has no pixel of segment 77"),
        ([*SEGMENTS, {"id": 2**24 - 1, "category_id": 0}], r"a\.png: has no pixel of segment 16777215"),
    ],
    ids=["unlisted", "absent", "absent-last"],
)
def test_a_map_of_other_segments_is_refused(tmp_path: Path, segments: list[dict[str, Any]], said: str) -> None:
    pictures = open_pictures(written(tmp_path, segments=segments), STREET)
    with pytest.raises(DataError, match=said):
        pictures[0]


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        ([*SEGMENTS, SEGMENTS[0]], "lists a segment twice"),
        ([{"id": 0, "category_id": 0}], "of id 0"),
        ([{"id": 1 << 24, "category_id": 0}], "is no COCO panoptic file"),
        ([{"id": 1, "category_id": 44}], "category_id 44"),
    ],
    ids=["twice", "zero", "large", "category"],
)
def test_files_that_cannot_be_are_refused(tmp_path: Path, segments: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(DataError, match=said):
        open_pictures(written(tmp_path, segments=segments), STREET)


def test_a_grey_map_and_one_of_another_size_are_refused(tmp_path: Path) -> None:
    pictures = open_pictures(written(tmp_path), STREET)
    grey(tmp_path / "panoptic" / "a.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    with pytest.raises(DataError, match=r"a\.png: is no colour PNG"):
        pictures[0]
    grey(tmp_path / "panoptic" / "a.png", np.zeros((HEIGHT, 7, 3), np.uint8))
    with pytest.raises(DataError, match=r"a\.png: is 7x30 pixels, its label says 40x30"):
        pictures[0]


def test_a_missing_map_is_named(tmp_path: Path) -> None:
    spec = written(tmp_path)
    (tmp_path / "panoptic" / "a.png").unlink()
    with pytest.raises(DataError, match=r"1 of 1 maps are not there: .*a\.png"):
        open_pictures(spec, STREET)
