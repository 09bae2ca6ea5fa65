"""Pascal VOC's XML files and segmentation, and files that are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DataError
from stages.models.labelled.sample import FIRST_OBJECT
from stages.models.labelled.specs import VocSpec, open_pictures
from tests.stages.models.labelled.making import HEIGHT, STREET, WIDTH, grey, picture

CAR = "<object><name>car</name><bndbox><xmin>3</xmin><ymin>5</ymin><xmax>12</xmax><ymax>14</ymax></bndbox></object>"
PERSON = (
    "<object><name>person</name><difficult>1</difficult><part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin>"
    "<xmax>2</xmax><ymax>2</ymax></bndbox></part><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>9</ymax>"
    "</bndbox></object>"
)
SIZE = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"


def written(folder: Path, text: str, *, name: str = "a", **fields: Any) -> VocSpec:
    picture(folder / "JPEGImages" / f"{name}.jpg")
    path = folder / "Annotations" / f"{name}.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return VocSpec(folder=str(folder), **fields)


def annotation(*parts: str) -> str:
    return f"<annotation><filename>a.jpg</filename>{''.join(parts)}</annotation>"


def test_boxes_count_from_one_and_difficult_ones_are_ignored(tmp_path: Path) -> None:
    sample = open_pictures(written(tmp_path, annotation(SIZE, CAR, PERSON)), STREET)[0]
    assert sample.boxes.tolist() == [[2, 4, 12, 14], [0, 0, 4, 9]]
    assert sample.labels.tolist() == [1, 0]
    assert sample.visibility.tolist() == [1, 0]
    assert not sample.regions.any()


@pytest.mark.parametrize("size", ["", "<size><width>0</width><height>0</height></size>"], ids=["none", "zero"])
def test_a_size_that_is_not_told_is_the_pictures(tmp_path: Path, size: str) -> None:
    assert len(open_pictures(written(tmp_path, annotation(size, CAR)), STREET)[0].labels) == 1


def test_an_image_set_chooses(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        written(tmp_path, annotation(SIZE, CAR), name=name)
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "val.txt").write_text("c  1\na -1\n\n")
    pictures = open_pictures(VocSpec(folder=str(tmp_path), image_set="Main/val"), STREET)
    assert [pictures.key(n) for n in range(len(pictures))] == ["c", "a"]
    (tmp_path / "ImageSets" / "Main" / "val.txt").write_text("../../etc/passwd\n")
    with pytest.raises(DataError, match=r"val\.txt: '\.\./\.\./etc/passwd' is no name"):
        open_pictures(VocSpec(folder=str(tmp_path), image_set="Main/val"), STREET)
    (tmp_path / "ImageSets" / "Main" / "val.txt").write_text("a\nlost\n")
    with pytest.raises(DataError, match=r"1 of 2 pictures are not there: .*lost\.jpg"):
        open_pictures(VocSpec(folder=str(tmp_path), image_set="Main/val"), STREET)


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE annotation [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><annotation><object><name>&c;</name></object></annotation>'
)
OUTSIDE = '<!DOCTYPE annotation [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotation>'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "document type"),
        (OUTSIDE, "document type"),
        ("", "no element found"),
        ("<annotation>", "no element found"),
        ("<html></html>", "root is <html>"),
        (annotation(SIZE, "<object></object>"), "object 1 has no name"),
        (annotation(SIZE, CAR, CAR.replace("<xmin>3</xmin>", "")), "object 2 (car): <xmin> is missing"),
        (annotation(SIZE, CAR.replace(">3<", ">x<")), "object 1 (car): xmin is 'x', not a number"),
        (annotation(SIZE, CAR.replace(">3<", ">nan<")), "four numbers are needed"),
        (annotation(SIZE, CAR.replace(">3<", ">20<")), "ends before it begins"),
        (annotation(SIZE, CAR.replace(">12<", ">50<")), "leaves the picture of 40x30"),
        (annotation(SIZE.replace("40", "41"), CAR), "is 40x30 pixels, its label says 41x30"),
        (annotation(SIZE.replace("40", "1e999"), CAR), "size"),
        (annotation(SIZE.replace("40", "-4"), CAR), "a size of -4x30"),
        (annotation(SIZE.replace("40", "nan"), CAR), "size"),
    ],
    ids=["bomb", "outside", "empty", "open", "html", "nameless", "no-side", "word", "nan", "inverted", "leaves",
         "size", "endless-size", "negative-size", "nan-size"],
)  # fmt: skip
def test_files_that_cannot_be_are_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError) as raised:
        open_pictures(written(tmp_path, text), STREET)
    assert said in str(raised.value)
    assert str(tmp_path) in str(raised.value)


def test_a_bomb_in_another_encoding_is_refused_too(tmp_path: Path) -> None:
    spec = written(tmp_path, "")
    (tmp_path / "Annotations" / "a.xml").write_bytes(BOMB.replace('"1.0"', '"1.0" encoding="utf-16"').encode("utf-16"))
    with pytest.raises(DataError, match="document type"):
        open_pictures(spec, STREET)


def maps(folder: Path, *, objects: bool = True, torn: bool = False) -> VocSpec:
    classes = np.zeros((HEIGHT, WIDTH), np.uint8)
    classes[10:20, 5:15] = 7  # car
    classes[10:20, 20:30] = 15  # person
    classes[9, 5:15] = 255
    numbers = np.zeros_like(classes)
    numbers[10:20, 5:10], numbers[10:20, 10:15], numbers[10:20, 20:30], numbers[9, 5:15] = 1, 2, 3, 255
    if torn:
        numbers[10, 20] = 1
    picture(folder / "JPEGImages" / "a.jpg")
    palette = bytes(range(256)) * 3
    grey(folder / "SegmentationClass" / "a.png", classes, palette=palette)
    if objects:
        grey(folder / "SegmentationObject" / "a.png", numbers, palette=palette)
    return VocSpec(folder=str(folder), labels="segmentation")


def test_segmentation_gives_objects_and_void(tmp_path: Path) -> None:
    sample = open_pictures(maps(tmp_path), STREET)[0]
    assert sample.labels.tolist() == [1, 1, 0]
    assert sample.boxes.tolist() == [[5, 10, 10, 20], [10, 10, 15, 20], [20, 10, 30, 20]]
    assert (sample.regions[10:20, 10:15] == FIRST_OBJECT + 1).all()
    assert np.count_nonzero(sample.regions) == 200  # neither background nor border
    assert sample.visibility.all()


def test_segmentation_without_objects_is_not_told_apart(tmp_path: Path) -> None:
    sample = open_pictures(maps(tmp_path, objects=False), STREET)[0]
    assert sample.visibility.tolist() == [0, 0]


def test_an_object_of_two_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="object 1 has pixels of two classes"):
        open_pictures(maps(tmp_path, torn=True), STREET)


def test_values_without_a_name_are_refused(tmp_path: Path) -> None:
    spec = maps(tmp_path)
    grey(tmp_path / "SegmentationClass" / "a.png", np.full((HEIGHT, WIDTH), 21, np.uint8))
    with pytest.raises(DataError, match=r"a\.png: has the values \[21\], which have no name"):
        open_pictures(spec, STREET)
