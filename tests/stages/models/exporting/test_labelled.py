"""Labelled pictures for exports: none is calibrated with and measured on; the worse of two figures judges INT8."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.errors import ConfigError, DataError
from stages.models import extras
from stages.models.exporting import judging
from stages.models.exporting.formats import Made
from stages.models.exporting.frames import quiet
from stages.models.exporting.int8 import Trial
from stages.models.exporting.judging import ByLabels
from stages.models.exporting.labelled import half_of, read_data
from stages.models.exporting.request import Request, check_packages, frames_for, plan_of
from stages.models.labelled.taxonomy import Taxonomy
from tests.stages.models.exporting.tiny import CLASSES, frames

COUNT = 40


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOLO set whose pictures differ, a third of it held out; other parts of a recipe are there too."""
    folder = tmp_path_factory.mktemp("set")
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    for number in range(COUNT):
        cv2.imwrite(str(folder / "images" / f"{number}.png"), np.full((64, 96, 3), number * 6, np.uint8))
        (folder / "labels" / f"{number}.txt").write_text("0 0.5 0.5 0.2 0.4\n")
    path = folder / "recipe.yaml"
    path.write_text(
        "steps: 12\nclasses: embedded\ndata:\n"
        f"  - {{kind: yolo, images: {folder / 'images'}, labels: {folder / 'labels'}, names: [car], hold_out: 0.33}}\n"
        "  - {kind: footage, files: [gate.mp4], teachers: [t.onnx]}\n"
    )
    return path


def asked(recipe: Path, formats: list[str], **options: Any) -> Request:
    plan = plan_of(Path("x"), formats=formats, size=(96, 64), any_size=False, half=True, version="1", max_drop=0.01)
    return Request(model="m", plan=plan, data=str(recipe), **options)


def levels(pictures: Any) -> set[int]:
    return {int(picture[0, 0, 0, 0]) for picture in pictures}


def test_int8_is_calibrated_with_what_is_learnt_from_and_checked_on_what_is_held_out(recipe: Path) -> None:
    labelled = read_data(str(recipe), CLASSES, {})
    found = frames_for(asked(recipe, ["int8"], checked=100, calibrated=100), labelled, step=quiet)
    held_out, learnt = levels(found.checked), levels(found.calibration)
    assert not held_out & learnt
    assert len(held_out) + len(learnt) == COUNT
    assert 5 <= len(held_out) <= 22
    assert f"{len(held_out)} held-out pictures of" in found.told


def test_files_of_other_formats_are_checked_on_any_picture(recipe: Path) -> None:
    found = frames_for(asked(recipe, ["onnx"], checked=100), read_data(str(recipe), CLASSES, {}), step=quiet)
    assert len(levels(found.checked)) == COUNT
    assert not found.calibration


def test_scores_are_balanced_on_one_half_and_int8_is_judged_on_the_other(recipe: Path) -> None:
    labelled = read_data(str(recipe), CLASSES, {})
    halves = [labelled.measured("held-out", half=half, step=quiet) for half in ("first", "second", None)]
    first, second, both = ({one.pictures.key(i) for one in sets for i in range(len(one.pictures))} for sets in halves)
    assert first
    assert second
    assert not first & second
    assert first | second == both
    assert all(half_of(key) == "first" for key in first)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: 3", "'data' must be a list of pictures"),
        ("data: []", "'data' must be a list of pictures"),
        ("data: [{kind: coco}]", "missing required field"),
        ("data: [{kind: paper}]", "Invalid value 'paper'"),
        ("data: [{kind: footage, files: [a.mp4], teachers: [t.onnx]}]", "nothing but footage"),
    ],
    ids=["none", "empty", "unfinished", "unknown", "footage"],
)
def test_a_recipe_that_nothing_can_be_measured_on_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_data(str(path), CLASSES, {})
    assert str(path) in str(caught.value)


def test_without_anything_held_out_int8_is_not_judged(recipe: Path, tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(recipe.read_text().replace("hold_out: 0.33", "hold_out: 0"))
    with pytest.raises(ConfigError, match="no picture is held out to judge INT8 on; give an entry 'hold_out'"):
        frames_for(asked(path, ["int8"]), read_data(str(path), CLASSES, {}), step=quiet)


class Measured:
    """Figures that are known beforehand, by the name of the file."""

    def __init__(self, **means: dict[str, float | None]) -> None:
        self.means, self.asked = means, list[str]()

    def __call__(self, subjects: list[str], *_: Any, **__: Any) -> Any:
        (name,) = subjects
        self.asked.append(name)
        return SimpleNamespace(models=[SimpleNamespace(means=self.means[name])])


def judge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, measured: Measured) -> tuple[ByLabels, Trial, Made]:
    monkeypatch.setattr(judging, "measure", measured)
    monkeypatch.setattr(judging, "Subject", lambda path: Path(path).stem)
    for name in ("whole.onnx", "made.xml", "made.bin"):
        (tmp_path / name).write_bytes(b"weights")
    trial = Trial(whole=tmp_path / "whole.onnx", card={}, frames=frames(), reference=[])
    made = Made("int8", (tmp_path / "made.xml", tmp_path / "made.bin"))
    return ByLabels([], Taxonomy(classes=CLASSES), told="9 held-out pictures of r.yaml"), trial, made


def test_the_figure_that_falls_most_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    measured = Measured(whole={"ap50": 0.6, "pq": 0.5, "ap": 0.3}, made={"ap50": 0.61, "pq": 0.47, "ap": 0.1})
    by_labels, trial, made = judge(monkeypatch, tmp_path, measured)
    judged = by_labels(trial, made)
    assert judged.drop == pytest.approx(0.03)
    assert judged.told == "box AP50 0.600 -> 0.610, PQ 0.500 -> 0.470 on 9 held-out pictures of r.yaml"
    assert judged.figures == {"ap50_float": 0.6, "pq_float": 0.5, "ap50": 0.61, "pq": 0.47}
    by_labels(trial, made)
    assert measured.asked == ["whole", "made", "made"], "the float network is measured once"


def test_what_labels_do_not_tell_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    measured = Measured(whole={"ap50": 0.6, "pq": None}, made={"ap50": 0.5, "pq": None})
    by_labels, trial, made = judge(monkeypatch, tmp_path, measured)
    assert by_labels(trial, made).drop == pytest.approx(0.1)


def test_pictures_without_the_network_s_classes_judge_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nothing: dict[str, float | None] = {"ap50": None, "pq": None}
    by_labels, trial, made = judge(monkeypatch, tmp_path, Measured(whole=nothing, made=nothing))
    with pytest.raises(DataError, match="show none of the network's classes; INT8 cannot be judged on them"):
        by_labels(trial, made)


@pytest.mark.parametrize(
    ("formats", "options", "missing", "message"),
    [
        (
            ["onnx"],
            {},
            "onnxscript",
            r"--format onnx: the package onnxscript is .*'everyframe\[train\]'",
        ),
        (["int8"], {}, "nncf", r"--format int8: the package nncf is missing; pip install 'everyframe\[int8\]'"),
        (
            ["onnx"],
            {"balance": True},
            "faster_coco_eval",
            r"--data: .* faster-coco-eval is .*\[eval\]'",
        ),
    ],
    ids=["onnxscript", "nncf", "faster-coco-eval"],
)
def test_a_missing_package_is_named_with_its_extra(
    recipe: Path,
    monkeypatch: pytest.MonkeyPatch,
    formats: list[str],
    options: dict[str, bool],
    missing: str,
    message: str,
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == missing else object())
    with pytest.raises(ConfigError, match=message):
        check_packages(asked(recipe, formats, **options))
