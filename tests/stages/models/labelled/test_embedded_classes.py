"""Every name of the label sets in use belongs to a class of the embedded network, or is void on purpose."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stages.detect.coco import COCO_CLASSES
from stages.models.labelled.embedded import EMBEDDED_TAXONOMY, GATHERS, LEFT_VOID, STUFF, THINGS
from stages.models.labelled.label_tables import CAMVID, CITYSCAPES
from stages.models.labelled.taxonomy import world_taxonomy
from stages.models.labelled.voc import CLASSES as VOC
from tests.require import skip_without

CATEGORIES = Path(__file__).resolve().parents[5] / "shared" / "data" / "panoptic" / "panoptic_coco_categories.json"


def class_of(name: str) -> str | None:
    label = EMBEDDED_TAXONOMY.label(name)
    return None if label is None else EMBEDDED_TAXONOMY.classes.names[label]


@pytest.mark.parametrize(
    "names",
    [COCO_CLASSES, CITYSCAPES, tuple(CAMVID), VOC, world_taxonomy().classes.names],
    ids=["coco", "cityscapes", "camvid", "voc", "world"],
)
def test_every_name_belongs_somewhere_or_is_void_on_purpose(names: tuple[str, ...]) -> None:
    assert [name for name in names if class_of(name) is None and name not in LEFT_VOID] == []


@pytest.mark.shared
def test_all_of_coco_panoptic_belongs_somewhere_and_things_stay_things() -> None:
    if not CATEGORIES.is_file():
        skip_without("shared", lacking=f"{CATEGORIES}")
    categories = json.loads(CATEGORIES.read_text())
    assert len(categories) == 133
    void = {category["name"] for category in categories if class_of(category["name"]) is None}
    assert void == {"window-other", "stairs"}
    assert void <= LEFT_VOID
    stuff = {category["name"] for category in categories if not category["isthing"]}
    assert not {name for name in stuff if class_of(name) in THINGS}


def test_nothing_is_both_gathered_and_void() -> None:
    assert not LEFT_VOID & {name for names in GATHERS.values() for name in names}
    assert not LEFT_VOID & {*THINGS, *STUFF}


def test_no_table_is_longer_than_its_set() -> None:
    assert len(CITYSCAPES) == 34
    assert (CITYSCAPES[7], CITYSCAPES[24], CITYSCAPES[33]) == ("road", "person", "bicycle")
    assert len(CAMVID) == len(set(CAMVID.values())) == 32
    assert len(VOC) == 20
