"""Label PNGs of values, palettes and colours, as Cityscapes and CamVid lay them out."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pipeline.errors import ConfigError, DataError
from pipeline.messages import Classes
from stages.models.labelled.sample import FIRST_OBJECT
from stages.models.labelled.specs import LabelPngSpec, open_pictures
from stages.models.labelled.taxonomy import Taxonomy
from tests.stages.models.labelled.making import HEIGHT, STREET, WIDTH, grey, picture

IDS = {1: "street", 2: "sky", 3: "van", 4: "kite"}


def values() -> np.ndarray:
    told = np.full((HEIGHT, WIDTH), 1, np.uint8)
    told[:10] = 2
    told[15:20, 2:8] = 3
    told[15:20, 12:18] = 3
    told[25:, 30:] = 4
    told[0, 0] = 255
    return told


def spec_of(folder: Path, **fields: Any) -> LabelPngSpec:
    return msgspec.convert({"images": str(folder / "images"), "labels": str(folder / "labels"), **fields}, LabelPngSpec)


def written(folder: Path, told: np.ndarray, *, palette: bytes | None = None, **fields: Any) -> LabelPngSpec:
    picture(folder / "images" / "a.jpg")
    grey(folder / "labels" / "a.png", told, palette=palette)
    return spec_of(folder, **fields)


def check(sample: Any) -> None:
    assert sample.regions[0, 0] == 0
    assert (sample.regions[1:10] == 2).all()
    assert (sample.regions[12] == 1).all()
    assert not sample.regions[25:, 30:].any()
    assert sample.labels.tolist() == [1, 1]
    assert sample.visibility.tolist() == [0, 0]  # not told apart: neither right nor wrong
    assert sample.boxes.tolist() == [[2, 15, 8, 20], [12, 15, 18, 20]]
    assert sample.known.tolist() == [False, True]


PALETTE = bytes(np.random.default_rng(1).permutation(768).astype(np.uint8))
COLOURS = {
    "street": [1, 2, 3], "sky": [[4, 5, 6], [4, 5, 7]], "van": [[9, 9, 9]], "kite": [200, 100, 0],
}  # fmt: skip


def in_colour() -> np.ndarray:
    table = np.zeros((256, 3), np.uint8)
    table[1:5] = [(1, 2, 3), (4, 5, 6), (9, 9, 9), (200, 100, 0)]
    told = table[values()]
    told[3, 3] = (4, 5, 7)
    return told


def test_values_in_grey_a_palette_sixteen_bits_or_three_equal_channels(tmp_path: Path) -> None:
    forms: dict[str, Any] = {
        "grey": (values(), None),
        "palette": (values(), PALETTE),
        "deep": (values().astype(np.uint16), None),
        "equal": (np.repeat(values()[..., None], 3, 2), None),
    }
    for name, (told, palette) in forms.items():
        check(open_pictures(written(tmp_path / name, told, palette=palette, ids=IDS), STREET)[0])


def test_colours_in_three_channels_or_a_palette(tmp_path: Path) -> None:
    check(open_pictures(written(tmp_path / "x", in_colour(), colours=COLOURS, void=[[0, 0, 0]]), STREET)[0])
    palette = bytearray(768)
    palette[3:15] = bytes([1, 2, 3, 4, 5, 6, 9, 9, 9, 200, 100, 0])
    spec = written(tmp_path / "y", values(), palette=bytes(palette), colours=COLOURS, void=[[0, 0, 0]])
    check(open_pictures(spec, STREET)[0])


def test_readers_go_to_other_processes(tmp_path: Path) -> None:
    pictures = open_pictures(written(tmp_path, values(), ids=IDS), STREET)
    check(pickle.loads(pickle.dumps(pictures))[0])  # noqa: S301 - as a data loader's workers get them


CITY = Taxonomy(classes=Classes(("person", "car"), ("road", "sky")))


def city(folder: Path, *, torn: bool = False) -> LabelPngSpec:
    told = np.full((HEIGHT, WIDTH), 7, np.uint8)  # road
    told[:5] = 23  # sky
    told[10:15, 5:20] = 26  # two cars side by side
    told[20:25] = 24  # people who are not told apart
    told[29] = 3  # out of roi
    instances = told.astype(np.uint16)
    instances[10:15, 5:12], instances[10:15, 12:20] = 26000, 26001
    if torn:
        instances[10, 5] = 24000
    picture(folder / "images" / "ulm" / "ulm_1_leftImg8bit.png")
    grey(folder / "labels" / "ulm" / "ulm_1_gtFine_labelIds.png", told)
    grey(folder / "labels" / "ulm" / "ulm_1_gtFine_instanceIds.png", instances)
    grey(folder / "labels" / "ulm" / "ulm_1_gtFine_color.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    return spec_of(folder, layout="cityscapes")


def test_cityscapes_tells_objects_apart(tmp_path: Path) -> None:
    pictures = open_pictures(city(tmp_path), CITY)
    assert pictures.key(0) == "ulm_1"
    sample = pictures[0]
    assert sample.labels.tolist() == [1, 1, 0]
    assert sample.visibility.tolist() == [1, 1, 0]
    assert sample.boxes.tolist() == [[5, 10, 12, 15], [12, 10, 20, 15], [0, 20, 40, 25]]
    assert (sample.regions[10:15, 12:20] == FIRST_OBJECT + 1).all()
    assert (sample.regions[:5] == 2).all()
    assert not sample.regions[29].any()
    assert sample.known is None


def test_objects_of_another_class_than_the_pixels_are_refused(tmp_path: Path) -> None:
    pictures = city(tmp_path, torn=True)
    with pytest.raises(DataError, match=r"instanceIds\.png: 1 pixels are of another class than in ulm_1_gtFine_label"):
        open_pictures(pictures, CITY)[0]


def test_a_missing_file_of_objects_is_named(tmp_path: Path) -> None:
    city(tmp_path)
    (tmp_path / "labels" / "ulm" / "ulm_1_gtFine_instanceIds.png").unlink()
    with pytest.raises(DataError, match=r"ulm_1_gtFine_instanceIds\.png: is not there"):
        open_pictures(spec_of(tmp_path, layout="cityscapes"), CITY)
    loose = open_pictures(spec_of(tmp_path, layout="cityscapes", instance_suffix=""), CITY)[0]
    assert loose.visibility.tolist() == [0, 0]


def test_camvid_is_read_by_its_colours(tmp_path: Path) -> None:
    told = np.full((HEIGHT, WIDTH, 3), (128, 64, 128), np.uint8)
    told[:10] = (128, 128, 128)
    told[0] = 0
    told[12:14, 3:9] = (64, 0, 128)
    picture(tmp_path / "images" / "0001TP_1.png")
    grey(tmp_path / "labels" / "0001TP_1_L.png", told)
    taxonomy = Taxonomy(
        classes=Classes(("car",), ("road", "sky")), gathers={"car": ("Car",), "road": ("Road",), "sky": ("Sky",)}
    )
    sample = open_pictures(spec_of(tmp_path, layout="camvid"), taxonomy)[0]
    assert (sample.regions[1:10] == 2).all()
    assert not sample.regions[0].any()
    assert sample.boxes.tolist() == [[3, 12, 9, 14]]


def test_unknown_values_and_colours_are_counted_and_named(tmp_path: Path) -> None:
    told = values()
    told[20, :3] = 77
    with pytest.raises(DataError, match=r"a\.png: 3 pixels are 77, which have no name; 1, 2, 3, 4, 255 have"):
        open_pictures(written(tmp_path, told, ids=IDS), STREET)[0]
    told = in_colour()
    with pytest.raises(DataError, match=r"a\.png: 1 pixels are \[0, 0, 0\], which have no name; "):
        open_pictures(written(tmp_path, told, colours=COLOURS), STREET)[0]


def test_colours_where_values_are_named_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.png: pixels are colours; values are named"):
        open_pictures(written(tmp_path, in_colour(), ids=IDS), STREET)[0]


def test_labels_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.jpg: is 40x30 pixels, its label says 40x29"):
        open_pictures(written(tmp_path, values()[1:], ids=IDS), STREET)


def test_labels_without_a_picture_are_counted_and_named(tmp_path: Path) -> None:
    spec = written(tmp_path, values(), ids=IDS)
    grey(tmp_path / "labels" / "lost.png", values())
    with pytest.raises(DataError, match=r"1 of 2 label files' pictures are not there: .*lost\.png"):
        open_pictures(spec, STREET)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "neither ids nor colours"),
        ({"ids": IDS, "colours": COLOURS}, "both given"),
        ({"colours": {"sky": [1, 2]}}, "sky"),
        ({"colours": {"sky": []}}, "no colour"),
        ({"colours": {"sky": [1, 2, 3], "street": [1, 2, 3]}}, "'street' and 'sky' have the same"),
        ({"colours": COLOURS, "instance_suffix": "_i.png"}, "instance_suffix"),
    ],
    ids=["none", "both", "two-numbers", "empty", "twice", "objects"],
)
def test_tables_that_are_none_are_refused(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        open_pictures(written(tmp_path, values(), **fields), STREET)


def test_speckle_does_not_outgrow_a_sample(tmp_path: Path) -> None:
    told = np.where(np.indices((HEIGHT, WIDTH)).sum(0) % 2 & np.indices((HEIGHT, WIDTH))[0] % 2, 3, 1).astype(np.uint8)
    sample = open_pictures(written(tmp_path, told, ids=IDS), STREET)[0]
    assert len(sample.labels) <= 240
    assert not sample.visibility.any()
