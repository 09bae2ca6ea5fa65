"""COCO instances as a reader gives them, and files that are none."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DataError
from stages.models.labelled.sample import FIRST_OBJECT
from stages.models.labelled.specs import CocoSpec, open_pictures
from tests.stages.models.labelled.making import HEIGHT, STREET, WIDTH, coco, picture, rectangle

PERSON, CAR, BENCH, KITE = 10, 11, 12, 13


def opened(folder: Path, annotations: list[dict[str, Any]], **changes: Any) -> Any:
    return open_pictures(CocoSpec(**coco(folder, annotations, **changes)), STREET)


def test_things_stuff_and_what_nothing_gathers(tmp_path: Path) -> None:
    pictures = opened(
        tmp_path,
        [
            {"category_id": CAR, **rectangle(4, 5, 14, 15)},
            {"category_id": BENCH, **rectangle(20, 5, 30, 15)},
            {"category_id": KITE, **rectangle(0, 20, 10, 30)},
            {"category_id": PERSON, "bbox": [1, 2, 3, 4]},
        ],
    )
    sample = pictures[0]
    assert sample.image.shape == (HEIGHT, WIDTH, 3)
    assert sample.labels.tolist() == [1, 0]
    assert sample.boxes.tolist() == [[4, 5, 14, 15], [1, 2, 4, 6]]
    assert (sample.regions[5:15, 4:14] == FIRST_OBJECT).all()
    assert (sample.regions[5:15, 20:30] == 1).all()  # a bench counts as road here
    assert np.count_nonzero(sample.regions) == 200  # the kite is void, the person has a box alone
    assert sample.known is None
    assert pictures.key(0) == "a"


def test_a_crowd_is_ignored_and_keeps_its_class(tmp_path: Path) -> None:
    runs = {"counts": [0, 5 * HEIGHT, (WIDTH - 5) * HEIGHT], "size": [HEIGHT, WIDTH]}
    crowd = {"category_id": PERSON, "bbox": [0, 0, 5, HEIGHT], "iscrowd": 1, "segmentation": runs}
    sample = opened(tmp_path, [crowd])[0]
    assert sample.visibility.tolist() == [0]
    assert (sample.regions[:, :5] == FIRST_OBJECT).all()
    assert not sample.regions[:, 5:].any()


def test_a_class_the_file_cannot_name_is_not_known(tmp_path: Path) -> None:
    pictures = opened(tmp_path, [{"category_id": PERSON, **rectangle(0, 0, 9, 9)}], names=("person", "kite"))
    assert pictures[0].known.tolist() == [True, False]


def test_readers_go_to_other_processes(tmp_path: Path) -> None:
    pictures = opened(tmp_path, [{"category_id": CAR, **rectangle(4, 5, 14, 15)}])
    again = pickle.loads(pickle.dumps(pictures))  # noqa: S301 - as a data loader's workers get them
    assert np.array_equal(again[0].regions, pictures[0].regions)


def test_objects_without_area_are_left_out_and_told(tmp_path: Path) -> None:
    flat = {"category_id": CAR, "bbox": [5, 5, 8, 0]}
    pictures = opened(tmp_path, [flat, {"category_id": CAR, **rectangle(1, 1, 9, 9)}])
    assert len(pictures[0].labels) == 1
    assert "1 objects without area" in pictures.notes[0]


def test_a_box_may_leave_the_picture_by_rounding(tmp_path: Path) -> None:
    sample = opened(tmp_path, [{"category_id": CAR, "bbox": [-1.5, 3, WIDTH + 3, 5]}])[0]
    assert sample.boxes.tolist() == [[0, 3, WIDTH, 8]]


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        ({"bbox": [-3, 0, 9, 9]}, "annotation 100, of a.jpg: a box of [-3, 0, 6, 9]"),
        ({"bbox": [35, 0, 9, 9]}, "leaves the picture of 40x30 pixels"),
        ({"bbox": [5, 5, -2, 9]}, "ends before it begins"),
        ({"bbox": [5, 5, 2]}, "annotations[0].bbox"),
        ({"bbox": [5, 5, 2, None]}, "annotations[0].bbox"),
        ({"bbox": "5 5 2 2"}, "annotations[0].bbox"),
        ({"category_id": 99}, "category_id 99, which the file does not list"),
        ({"image_id": 7}, "image_id 7, which the file does not list"),
    ],
    ids=["left", "right", "inverted", "three", "null", "text", "category", "image"],
)
def test_annotations_that_cannot_be_are_named_at_opening(tmp_path: Path, annotation: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError) as raised:
        opened(tmp_path, [{"category_id": CAR, **rectangle(0, 0, 9, 9), **annotation}])
    assert said in str(raised.value)
    assert "labels.json" in str(raised.value)


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ([[1, 2, 3]], "3 numbers"),
        ([[1, 2, 3, 4]], "2 points"),
        ([["a", 2, 3, 4, 5, 6]], "Expected `float`"),
        ({"counts": [5, 5], "size": [HEIGHT, WIDTH]}, "make 10 pixels"),
        ({"counts": [10**18] * 3, "size": [HEIGHT, WIDTH]}, "the picture has 1200"),
        ({"counts": [1], "size": [100_000, 100_000]}, "on a picture of 40x30"),
        ({"counts": "~", "size": [HEIGHT, WIDTH]}, "not of run lengths"),
        ({"size": [HEIGHT, WIDTH]}, "missing required field `counts`"),
        (True, "Expected"),
    ],
    ids=["odd", "line", "letters", "short", "long", "size", "garbage", "no-counts", "bool"],
)
def test_outlines_that_cannot_be_are_named_when_read(tmp_path: Path, segmentation: Any, said: str) -> None:
    pictures = opened(tmp_path, [{"category_id": CAR, "bbox": [1, 1, 5, 5], "segmentation": segmentation}])
    with pytest.raises(DataError, match=r"labels\.json: annotation 100, of a\.jpg") as raised:
        pictures[0]
    assert said in str(raised.value)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"images": [], "annotations": {}, "categories": []}', "[" * 100_000, '{"images": [NaN]}',
     "\xff", '{"images": [{"id": 1, "file_name": "a.jpg", "width": 0, "height": 5}]}'],
    ids=["empty", "list", "object", "null", "wrong", "deep", "nan", "letters", "no-width"],
)  # fmt: skip
def test_json_that_is_not_coco_is_refused(tmp_path: Path, text: str) -> None:
    fields = coco(tmp_path, [])
    Path(fields["labels"]).write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"labels\.json: is no COCO instances file"):
        open_pictures(CocoSpec(**fields), STREET)


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/passwd", "x/../../a.jpg", "", "..\\a.jpg", "a\0.jpg"])
def test_file_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    fields = coco(tmp_path, [], images=[{"id": 0, "file_name": name, "width": WIDTH, "height": HEIGHT}])
    with pytest.raises(DataError, match="is no file name within"):
        open_pictures(CocoSpec(**fields), STREET)


def test_pictures_that_are_not_there_are_counted_and_named(tmp_path: Path) -> None:
    car = {"category_id": CAR, **rectangle(0, 0, 9, 9)}
    fields = coco(tmp_path, [car], pictures=("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"))
    for name in "bcde":
        (tmp_path / "images" / f"{name}.jpg").unlink()
    with pytest.raises(DataError, match=r"4 of 5 pictures are not there: .*b\.jpg, .*c\.jpg, .*d\.jpg and 1 more"):
        open_pictures(CocoSpec(**fields), STREET)
    pictures = open_pictures(CocoSpec(**fields, missing="skip"), STREET)
    assert len(pictures) == 1
    assert "4 of 5 pictures" in pictures.notes[0]  # type: ignore[attr-defined]


def test_a_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    fields = coco(tmp_path, [{"category_id": CAR, **rectangle(0, 0, 9, 9)}])
    picture(tmp_path / "images" / "a.jpg", width=WIDTH + 1)
    with pytest.raises(DataError, match=r"a\.jpg: is 41x30 pixels, its label says 40x30"):
        open_pictures(CocoSpec(**fields), STREET)


def test_labels_of_nothing_that_is_looked_for_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of its 1 pictures has anything of the classes"):
        opened(tmp_path, [{"category_id": KITE, **rectangle(0, 0, 9, 9)}])


def test_ids_that_are_there_twice_are_refused(tmp_path: Path) -> None:
    image = {"id": 0, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}
    with pytest.raises(DataError, match="images: the id 0 is there twice"):
        opened(tmp_path, [], images=[image, image])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    spec = CocoSpec(images=str(tmp_path), labels=str(tmp_path / "no.json"))
    with pytest.raises(DataError, match=r"no\.json: cannot be read: No such file"):
        open_pictures(spec, STREET)


def test_text_ids_are_ids(tmp_path: Path) -> None:
    fields = coco(tmp_path, [{"category_id": CAR, **rectangle(0, 0, 9, 9)}])
    text = json.loads(Path(fields["labels"]).read_text())
    text["images"][0]["id"] = text["annotations"][0]["image_id"] = "first"
    Path(fields["labels"]).write_text(json.dumps(text))
    assert open_pictures(CocoSpec(**fields), STREET)[0].labels.tolist() == [1]
