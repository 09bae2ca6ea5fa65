"""HOTA, MOTA and IDF1: beside `trackeval` reading the same from MOTChallenge's files, and by hand."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest

from stages.models.evaluation.track_quality import Followed, TrackQuality

trackeval = pytest.importorskip("trackeval", reason="needs trackeval, of the eval extra")

NOTHING = np.zeros(0, np.bool_)


def followed(*rows: tuple[float, float, float, float, int, int]) -> Followed:
    """Boxes, label, identity."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Followed(table[:, :4].astype(np.float32), table[:, 4].astype(np.int64), table[:, 5].astype(np.int64))


def none_ignored(truth: Followed) -> np.ndarray:
    return np.zeros(len(truth.ids), np.bool_)


def test_perfect_tracks_have_full_marks() -> None:
    quality = TrackQuality(("person", "car", "bus"))
    for step in range(4):
        truth = followed((step, 0, step + 10, 10, 0, 1), (50, step, 70, step + 10, 1, 2))
        renamed = Followed(truth.boxes, truth.labels, truth.ids + 6)
        quality.add("a", renamed, truth, ignored=none_ignored(truth))
    by_class = quality.by_class()
    for name in ("person", "car"):
        assert [by_class[name][key] for key in ("hota", "mota", "idf1")] == [pytest.approx(1.0)] * 3
    assert set(by_class["bus"].values()) == {None}
    assert quality.together(["person", "car"])["hota"] == pytest.approx(1.0)


def test_an_identity_switch_by_hand() -> None:
    quality = TrackQuality(("person",))
    for identity in (4, 4, 5, 5):
        truth = followed((0, 0, 10, 10, 0, 1))
        quality.add("a", followed((0, 0, 10, 10, 0, identity)), truth, ignored=none_ignored(truth))
    figures = quality.by_class()["person"]
    assert figures["idsw"] == 1
    assert figures["mota"] == pytest.approx(1 - 1 / 4)
    assert figures["idf1"] == pytest.approx(2 * 2 / (4 + 4))
    assert figures["hota"] == pytest.approx(np.sqrt(1 * 2 / 4))  # DetA 1, AssA 2 / (2 + 2 + 0)


def test_what_lies_on_an_ignored_object_counts_for_nothing() -> None:
    quality = TrackQuality(("person",))
    truth = followed((0, 0, 10, 10, 0, 1), (30, 0, 40, 10, 0, 2))
    found = followed((0, 0, 10, 10, 0, 1), (30, 0, 40, 9, 0, 7))
    quality.add("a", found, truth, ignored=np.array([False, True]))
    assert quality.by_class()["person"]["mota"] == pytest.approx(1.0)
    beside = followed((0, 0, 10, 10, 0, 1), (60, 0, 70, 10, 0, 7))
    quality.add("a", beside, truth, ignored=np.array([False, True]))
    assert quality.by_class()["person"]["mota"] == pytest.approx(1 / 2)


def test_tracks_of_a_class_with_missing_labels_count_only_where_they_match() -> None:
    quality = TrackQuality(("person",))
    truth = followed((0, 0, 10, 10, 0, 1))
    found = followed((0, 0, 10, 10, 0, 1), (60, 0, 70, 10, 0, 7))
    quality.add("a", found, truth, ignored=none_ignored(truth), open_labels={0})
    assert quality.by_class()["person"]["mota"] == pytest.approx(1.0)


def test_frames_without_anything() -> None:
    quality = TrackQuality(("person",))
    assert set(quality.together(["person"]).values()) == {None}
    quality.add("a", followed(), followed(), ignored=NOTHING)
    assert quality.by_class()["person"]["hota"] is None


def test_figures_are_those_of_trackeval_on_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    quality = TrackQuality(("pedestrian",))
    truth_lines, found_lines = [], []
    places = rng.uniform(0, 400, (6, 2))
    for number in range(1, 26):
        places += rng.normal(2, 2, places.shape)
        there = rng.random(6) < 0.9
        truth = followed(*((x, y, x + 40, y + 80, 0, i + 1) for i, (x, y) in enumerate(places) if there[i]))
        seen = rng.random(len(truth.ids)) < 0.8
        shifted = truth.boxes[seen] + rng.normal(0, 4, (int(seen.sum()), 1)).astype(np.float32)
        switched = truth.ids[seen] + np.where(number > 12, 10, 0) * (truth.ids[seen] < 3)
        extra = followed((500, 300, 540, 380, 0, 90)) if number % 5 == 0 else followed()
        found = Followed(
            np.concatenate([shifted, extra.boxes]), np.zeros(len(shifted) + len(extra.ids), np.int64),
            np.concatenate([switched, extra.ids]),
        )  # fmt: skip
        quality.add("MADE", found, truth, ignored=none_ignored(truth))
        truth_lines += _lines(number, truth)
        found_lines += _lines(number, found)
    expected = _judged(tmp_path, truth_lines, found_lines, frames=25)
    ours = quality.by_class()["pedestrian"]
    for key, value in expected.items():
        assert ours[key] == pytest.approx(value, abs=1e-4), key
    assert 0.2 < expected["hota"] < 0.9


def _lines(number: int, boxes: Followed) -> list[str]:
    rows = zip(boxes.boxes.tolist(), boxes.ids.tolist(), strict=True)
    return [f"{number},{i},{a:.6f},{b:.6f},{c - a:.6f},{d - b:.6f},1,-1,-1,-1\n" for (a, b, c, d), i in rows]


def _judged(root: Path, truth: list[str], found: list[str], *, frames: int) -> dict[str, float]:
    (root / "gt" / "MADE" / "gt").mkdir(parents=True)
    (root / "gt" / "MADE" / "gt" / "gt.txt").write_text("".join(truth))
    (root / "tracks" / "ours" / "data").mkdir(parents=True)
    (root / "tracks" / "ours" / "data" / "MADE.txt").write_text("".join(found))
    quiet = {"PRINT_CONFIG": False}
    dataset = {
        **quiet, "GT_FOLDER": str(root / "gt"), "TRACKERS_FOLDER": str(root / "tracks"), "TRACKERS_TO_EVAL": ["ours"],
        "BENCHMARK": "MOT15", "SKIP_SPLIT_FOL": True, "SEQ_INFO": {"MADE": frames},
    }  # fmt: skip
    silent = {"PRINT_RESULTS": False, "TIME_PROGRESS": False, "OUTPUT_SUMMARY": False, "OUTPUT_DETAILED": False}
    evaluator = trackeval.Evaluator(
        {**quiet, **silent, "PLOT_CURVES": False, "LOG_ON_ERROR": None, "USE_PARALLEL": False}
    )
    metrics = [trackeval.metrics.HOTA(), trackeval.metrics.CLEAR(quiet), trackeval.metrics.Identity(quiet)]
    with contextlib.redirect_stdout(io.StringIO()):
        results, _ = evaluator.evaluate([trackeval.datasets.MotChallenge2DBox(dataset)], metrics)
    of_class = results["MotChallenge2DBox"]["ours"]["MADE"]["pedestrian"]
    return {
        "hota": float(np.mean(of_class["HOTA"]["HOTA"])),
        "assa": float(np.mean(of_class["HOTA"]["AssA"])),
        "mota": float(of_class["CLEAR"]["MOTA"]),
        "idsw": float(of_class["CLEAR"]["IDSW"]),
        "idf1": float(of_class["Identity"]["IDF1"]),
    }
