"""YOLO's text files as a reader gives them, and lines that are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError, DataError
from stages.models.labelled.sample import FIRST_OBJECT
from stages.models.labelled.specs import YoloSpec, open_pictures
from tests.stages.models.labelled.making import HEIGHT, STREET, WIDTH, picture

NAMES = ["person", "van", "kite", "bench"]


def written(folder: Path, text: str, *, name: str = "a", **fields: Any) -> YoloSpec:
    picture(folder / "images" / f"{name}.jpg")
    path = folder / "labels" / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return YoloSpec(**{"images": str(folder / "images"), "names": NAMES, **fields})


def test_boxes_polygons_and_what_nothing_gathers(tmp_path: Path) -> None:
    text = "1 0.5 0.5 0.25 0.2\n\n0 0.1 0.1 0.3 0.1 0.3 0.4 0.1 0.4\n2 0.5 0.5 0.1 0.1\n3 .5 .9 .1 .1\n"
    sample = open_pictures(written(tmp_path, text), STREET)[0]
    assert sample.labels.tolist() == [1, 0]
    assert sample.boxes.ravel().tolist() == pytest.approx([15, 12, 25, 18, 4, 3, 12, 12])
    assert (sample.regions[3:12, 4:12] == FIRST_OBJECT + 1).all()
    assert (sample.regions > 0).sum() == 72  # a box alone says nothing of pixels, of a bench as of a van
    assert sample.known is None


def test_folders_are_paired_by_their_way_from_the_top(tmp_path: Path) -> None:
    written(tmp_path / "set", "1 0.5 0.5 0.2 0.2", name="train/x")
    spec = written(tmp_path / "set", "0 0.5 0.5 0.2 0.2", name="val/x")
    pictures = open_pictures(spec, STREET)
    assert [pictures[n].labels.tolist() for n in range(2)] == [[1], [0]]


def test_a_picture_without_a_text_file_is_left_out_or_empty(tmp_path: Path) -> None:
    spec = written(tmp_path, "1 0.5 0.5 0.2 0.2")
    picture(tmp_path / "images" / "b.jpg")
    pictures: Any = open_pictures(spec, STREET)
    assert len(pictures) == 1
    assert "1 pictures without a text file" in pictures.notes[0]
    both: Any = open_pictures(written(tmp_path, "1 0.5 0.5 0.2 0.2", unlabelled="empty"), STREET)
    assert [len(both[n].labels) for n in range(len(both))] == [1, 0]
    assert both.notes == ()


def test_a_turned_photograph_is_taken_as_it_is_shown(tmp_path: Path) -> None:
    from PIL import Image

    spec = written(tmp_path, "1 0.5 0.5 0.5 0.5")
    turned = Image.Exif()
    turned[0x0112] = 6
    picture(tmp_path / "images" / "a.jpg", exif=turned.tobytes())
    sample = open_pictures(spec, STREET)[0]
    assert sample.image.shape == (WIDTH, HEIGHT, 3)
    assert sample.boxes.tolist() == [[7.5, 10, 22.5, 30]]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("4 0.5 0.5 0.1 0.1", "class 4; 0 to 3 have names"),
        ("-1 0.5 0.5 0.1 0.1", "class -1"),
        ("1.5 0.5 0.5 0.1 0.1", "class 1.5"),
        ("nan 0.5 0.5 0.1 0.1", "class nan"),
        ("1 0.5 0.5 0.1", "3 numbers after the class"),
        ("1 0.5 0.5 0.1 0.1 0.9", "5 numbers after the class"),
        ("1", "0 numbers after the class"),
        ("1 0.5 0.5 nan 0.1", "not finite"),
        ("1 0.5 0.5 inf 0.1", "not finite"),
        ("1 0.5 0.5 -0.1 0.1", "ends before it begins"),
        ("1 20 15 10 10", "leaves the picture"),
        ("1 0.95 0.5 0.3 0.1", "leaves the picture of 40x30"),
        ("van 0.5 0.5 0.1 0.1", "is not a class and numbers"),
        ("1,0.5,0.5,0.1,0.1", "is not a class and numbers"),
        ("1 0.1 0.1 1.5 0.1 0.3 0.4", "leaves the picture"),
    ],
)
def test_lines_that_cannot_be_are_named(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(DataError, match=r"a\.txt, line 2: ") as raised:
        open_pictures(written(tmp_path, f"1 0.5 0.5 0.1 0.1\n{line}\n"), STREET)
    assert said in str(raised.value)


def test_a_box_without_area_is_left_out_and_told(tmp_path: Path) -> None:
    pictures: Any = open_pictures(written(tmp_path, "1 0.5 0.5 0 0.1\n1 0.5 0.5 0.1 0.1"), STREET)
    assert len(pictures[0].labels) == 1
    assert "1 objects without area" in pictures.notes[0]


def test_text_files_without_a_picture_are_counted_and_named(tmp_path: Path) -> None:
    spec = written(tmp_path, "1 0.5 0.5 0.1 0.1")
    (tmp_path / "labels" / "classes.txt").write_text("a\nb\n")
    (tmp_path / "labels" / "lost.txt").write_text("")
    with pytest.raises(DataError, match=r"1 of 2 text files' pictures are not there: .*lost\.txt"):
        open_pictures(spec, STREET)
    assert len(open_pictures(written(tmp_path, "1 0.5 0.5 0.1 0.1", missing="skip"), STREET)) == 1


def test_two_pictures_of_one_name_are_refused(tmp_path: Path) -> None:
    spec = written(tmp_path, "1 0.5 0.5 0.1 0.1")
    picture(tmp_path / "images" / "a.png")
    with pytest.raises(DataError, match="which of them is labelled"):
        open_pictures(spec, STREET)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    spec = written(tmp_path, "")
    (tmp_path / "labels" / "a.txt").write_bytes(b"\xff\xfe1\x00")
    with pytest.raises(DataError, match=r"a\.txt: is no text in UTF-8"):
        open_pictures(spec, STREET)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data.yaml", "names: [person, van]\n"),
        ("data.yml", "names:\n  1: van\n  0: person\n"),
        ("obj.names", "person\nvan\n\n"),
    ],
    ids=["yaml-list", "yaml-mapping", "lines"],
)
def test_names_from_a_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    pictures = open_pictures(written(tmp_path, "1 0.5 0.5 0.1 0.1", names=str(tmp_path / name)), STREET)
    assert pictures[0].labels.tolist() == [1]


def test_coco_names_are_known(tmp_path: Path) -> None:
    pictures = open_pictures(written(tmp_path, "2 0.5 0.5 0.1 0.1", names="coco"), STREET)
    assert pictures[0].labels.tolist() == [1]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("data.yaml", "names: {0: person, 2: van}\n", "without a gap"),
        ("data.yaml", "names: {a: person, 2: van}\n", "without a gap"),
        ("data.yaml", "names: 7\n", "no list or mapping"),
        ("data.yaml", "- 1\n", "no list or mapping"),
        ("data.yaml", "names: [1, 2]\n", "no list or mapping"),
        ("data.yaml", "names: []\n", "0 class names"),
        ("data.yaml", "names: [a, a]\n", "'a' is there twice"),
        ("data.txt", "person\n\nvan\n", "an empty one"),
        ("data.yaml", "names: [", "not valid YAML"),
    ],
    ids=["gap", "word", "number", "list", "numbers", "none", "twice", "hole", "broken"],
)
def test_names_that_are_none_are_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=said):
        open_pictures(written(tmp_path, "", names=str(tmp_path / name)), STREET)


def test_the_labels_folder_is_asked_for_where_it_cannot_be_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.labels: needed"):
        open_pictures(YoloSpec(images=str(tmp_path / "pictures"), names=NAMES), STREET)


def test_missing_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="labels: there is no such folder"):
        open_pictures(YoloSpec(images=str(tmp_path / "images"), names=NAMES), STREET)
