"""Data entries as a recipe has them, and the parts of a set."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.errors import ConfigError, DataError
from stages.models.labelled.parts import choose, is_held_out, reported
from stages.models.labelled.specs import CocoSpec, DataSpec, LabelPngSpec, WorldSpec, YoloSpec, open_pictures
from tests.stages.models.labelled.making import STREET, coco, rectangle


def test_entries_are_told_apart_by_kind() -> None:
    entries = [
        {"kind": "world", "worlds": 5, "hold_out": 0.25, "weight": 2},
        {"kind": "coco", "images": "i", "labels": "l.json", "limit": 10},
        {"kind": "yolo", "images": "i", "names": ["person"]},
        {"kind": "label-png", "images": "i", "labels": "l", "colours": {"sky": [1, 2, 3]}, "void": [255, [0, 0, 0]]},
    ]
    world, photographs, yolo, maps = msgspec.convert(entries, list[DataSpec])
    assert world == WorldSpec(worlds=5, hold_out=0.25, weight=2)
    assert photographs == CocoSpec(images="i", labels="l.json", limit=10)
    assert yolo == YoloSpec(images="i", names=["person"])
    assert isinstance(maps, LabelPngSpec)
    assert maps.void == [255, [0, 0, 0]]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"kind": "tfrecord"}, "Invalid value 'tfrecord'"),
        ({}, "missing required field `kind`"),
        ({"kind": "coco", "images": "i"}, "missing required field `labels`"),
        ({"kind": "world", "world": 5}, "unknown field `world`"),
        ({"kind": "world", "hold_out": 1}, "< 1"),
        ({"kind": "world", "weight": -1}, ">= 0"),
        ({"kind": "world", "limit": 0}, ">= 1"),
        ({"kind": "label-png", "images": "i", "labels": "l", "colours": {"sky": [1, 2, 300]}}, "<= 255"),
        ({"kind": "label-png", "images": "i", "labels": "l", "ids": {"a": "sky"}}, "int"),
        ({"kind": "label-png", "images": "i", "labels": "l", "void": [[1, 2]]}, "length"),
    ],
    ids=["kind", "none", "missing", "unknown", "share", "weight", "limit", "colour", "id", "void"],
)
def test_entries_that_cannot_be_are_refused(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.convert(entry, DataSpec)
    assert said in str(raised.value)
    gc.collect()  # msgspec 0.22 broke down here on a union of limited numbers and tuples of them


def test_a_picture_is_held_out_by_its_name() -> None:
    assert [is_held_out(f"{n:012}", 0.25) for n in range(12)] == [n in (0, 3) for n in range(12)]  # today as ever
    keys = [str(n) for n in range(1000)]
    held = choose(keys, hold_out=0.25, part="held-out", limit=None)
    learnt = choose(keys, hold_out=0.25, part="train", limit=None)
    assert sorted(held + learnt) == list(range(1000)) == choose(keys, hold_out=0.25, part="all", limit=None)
    assert 200 < len(held) < 300
    assert set(held) <= set(choose(keys, hold_out=0.5, part="held-out", limit=None))
    assert choose(keys[::-1], hold_out=0.25, part="held-out", limit=None) == [999 - n for n in held[::-1]]


@pytest.mark.parametrize("form", ["{}", "world-{:07}", "{:012}", "frame_{:04}"])
def test_names_that_are_counted_up_are_of_both_parts_all_along(form: str) -> None:
    held = [is_held_out(form.format(n), 0.25) for n in range(400)]
    assert all(2 <= sum(held[at : at + 40]) <= 20 for at in range(0, 400, 40))


def test_a_limit_spreads_over_the_set() -> None:
    keys = [str(n) for n in range(100)]
    assert choose(keys, hold_out=0, part="all", limit=5) == [0, 25, 50, 74, 99]
    assert choose(keys, hold_out=0, part="all", limit=1) == [0]
    assert choose(keys[:3], hold_out=0, part="all", limit=5) == [0, 1, 2]


def test_groups_are_on_one_side() -> None:
    keys = [f"{n // 4}-{n % 4}" for n in range(400)]
    groups = [key.partition("-")[0] for key in keys]
    held = {groups[n] for n in choose(keys, hold_out=0.3, part="held-out", limit=None, groups=groups)}
    learnt = {groups[n] for n in choose(keys, hold_out=0.3, part="train", limit=None, groups=groups)}
    assert held
    assert not held & learnt


def street(folder: Path, **fields: Any) -> CocoSpec:
    return CocoSpec(**coco(folder, [{"category_id": 11, **rectangle(1, 1, 9, 9)}]), **fields)


def test_nothing_held_out_is_an_empty_set(tmp_path: Path) -> None:
    pictures = open_pictures(street(tmp_path), STREET, part="held-out")
    assert len(pictures) == 0
    with pytest.raises(IndexError):
        pictures[0]


def test_a_part_without_a_picture_is_refused(tmp_path: Path) -> None:
    part = "held-out" if is_held_out("a", 0.5) else "train"
    with pytest.raises(DataError, match=r"none of its 1 pictures is (held out|learnt from) with hold_out: 0\.5"):
        open_pictures(street(tmp_path, hold_out=0.5), STREET, part="train" if part == "held-out" else "held-out")
    assert len(open_pictures(street(tmp_path, hold_out=0.5), STREET, part=part)) == 1


def test_known_must_be_things(tmp_path: Path) -> None:
    for name in ("sky", "dog"):
        with pytest.raises(ConfigError, match=f"data.known: '{name}' is no thing of the classes; person, car may be"):
            open_pictures(street(tmp_path, known=[name]), STREET)
    assert open_pictures(street(tmp_path, known=["car"]), STREET)[0].known.tolist() == [False, True]  # type: ignore[union-attr]


def test_progress_is_told_now_and_then_and_at_the_end() -> None:
    told: list[tuple[str, int, int]] = []
    assert list(reported(range(250), lambda *what: told.append(what), "labels")) == list(range(250))
    assert told == [("labels", 0, 250), ("labels", 100, 250), ("labels", 200, 250), ("labels", 250, 250)]
