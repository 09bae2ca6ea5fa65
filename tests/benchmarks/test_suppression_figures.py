"""The figures of the suppression benchmark: a part summed up is the part evaluated alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.messages import BatchDetections, Detections
from stages.models.evaluation.box_precision import BoxPrecision
from stages.models.evaluation.panoptic_quality import mean
from tests.benchmarks.suppression import boxes
from tests.benchmarks.suppression.boxes import CROWDED, Looked, Objects
from tests.benchmarks.suppression.figures import better_than_shipped
from tests.benchmarks.suppression.matched import Matched
from tests.benchmarks.suppression.settings import SETTINGS
from tests.stages.models.evaluation.made import scene

CLASSES = ("a", "b", "c")


@pytest.fixture(scope="module")
def looked() -> Looked:
    """Twelve pictures; one in three has a crowd, one is empty."""
    rng = np.random.default_rng(5)
    objects, found = [], []
    for picture in range(12):
        truth, labels, ignored, detections = scene(rng, classes=3, objects=40 if picture % 3 == 0 else 6)
        if picture == 7:
            truth, labels, ignored, detections = truth[:0], labels[:0], ignored[:0], Detections.empty()
        objects.append(Objects(truth, labels, ignored, (truth[:, 2:] - truth[:, :2]).prod(1).astype(np.float64)))
        found.append(detections)
    keys = tuple(f"{picture}.jpg" for picture in range(12))
    return Looked("made up", CLASSES, keys, tuple(objects), BatchDetections.of(found))


@pytest.mark.parametrize("crowded", [False, True], ids=["all", "crowded"])
@pytest.mark.parametrize("rows", [tuple(range(12)), (0, 2, 3, 7, 11), (9,)], ids=["all", "some", "one"])
def test_a_part_is_what_it_is_alone(looked: Looked, rows: tuple[int, ...], crowded: bool) -> None:
    pytest.importorskip("faster_coco_eval")
    alone = BoxPrecision(CLASSES)
    for i in rows:
        one, found = looked.objects[i], looked.found[i]
        labels = list(one.crowds()) if crowded else [0, 1, 2]
        wanted, there = np.isin(found.labels, labels), np.isin(one.labels, labels)
        alone.add(found[wanted], one.boxes[there], one.labels[there], one.ignored[there], areas=one.areas[there])
    got = Matched(looked, looked.found).precision(rows, crowded=crowded)
    assert got is not None
    by_class = alone.figures().by_class.values()
    expected = [mean(figures[key] for figures in by_class) for key in ("ap", "ap50", "ap75")]
    assert [got.ap, got.ap50, got.ap75] == pytest.approx(expected)
    assert 0.02 < got.ap < 0.98


def test_a_part_with_nothing_has_no_figure(looked: Looked) -> None:
    pytest.importorskip("faster_coco_eval")
    matched = Matched(looked, looked.found)
    assert matched.precision((7,)) is None
    assert matched.precision((1, 2), crowded=True) is None


def test_a_crowd_is_ten_of_a_class_that_count() -> None:
    labels = np.array([0] * CROWDED + [1] * CROWDED)
    ignored = np.zeros(2 * CROWDED, np.bool_)
    ignored[-1] = True
    one = Objects(np.zeros((2 * CROWDED, 4), np.float32), labels, ignored, np.ones(2 * CROWDED))
    assert one.crowds() == {0}


def test_every_picture_is_of_one_half(looked: Looked) -> None:
    first, second = looked.half(False), looked.half(True)
    assert sorted(first + second) == list(range(12))
    assert first
    assert second


def test_what_was_looked_at_is_kept(looked: Looked, tmp_path: Path) -> None:
    boxes._write(tmp_path / "kept.npz", looked)
    read = boxes._read(tmp_path / "kept.npz")
    assert (read.name, read.classes, read.keys) == (looked.name, looked.classes, looked.keys)
    for ours, theirs in zip(looked.objects, read.objects, strict=True):
        for column in ("boxes", "labels", "ignored", "areas"):
            assert np.array_equal(getattr(ours, column), getattr(theirs, column))
    for column in ("boxes", "scores", "labels", "bounds"):
        assert np.array_equal(getattr(looked.found, column), getattr(read.found, column))


def test_a_setting_is_what_it_says() -> None:
    for setting in SETTINGS:
        config = setting.config(0.25)
        assert (config.method, getattr(config, setting.parameter)) == (setting.method, setting.value)
        assert config.score_threshold == 0.25


def test_what_is_better_is_so_in_both_halves_by_twice_its_error() -> None:
    gains = {"hard": (0.01, 0.01), "soft-linear": (0.03, 0.03), "soft-gaussian": (-0.03, 0.03), "matrix": (0.03, 0.019)}
    rows = [
        {"detector": "d", "name": method, "more_than_shipped": (gain, 0.01)}
        for method, both in gains.items()
        for gain in both
    ]
    rows += [{"detector": "e", "name": "hard", "more_than_shipped": None}]
    assert better_than_shipped(rows) == {"d": ["soft-linear"], "e": []}
