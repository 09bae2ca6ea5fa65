"""MOTChallenge's layout, as trackeval takes it."""

from __future__ import annotations

import configparser
import contextlib
import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.messages import Classes
from tests.stages.exports.recordings import Recording, export, lost, recording, results_in, without_objects

Rows = list[list[float]]


def rows(path: Path) -> Rows:
    return [[float(cell) for cell in line.split(",")] for line in path.read_text().splitlines()]


def about(folder: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(folder / "mot" / "seqinfo.ini")
    return dict(parser["Sequence"])


def evaluated(mot: Path, folder: Path) -> dict[str, float]:
    """HOTA, MOTA and IDF1 of the folder's tracks against its truth."""
    trackeval = pytest.importorskip("trackeval", reason="needs trackeval")
    truth, found = folder / "gt" / "MOT17-train", folder / "trackers" / "MOT17-train" / "own" / "data"
    shutil.copytree(mot, truth / "clip")
    found.mkdir(parents=True)
    shutil.copy(mot / "tracks.txt", found / "clip.txt")
    settings: dict[str, Any] = {
        "GT_FOLDER": str(folder / "gt"),
        "TRACKERS_FOLDER": str(folder / "trackers"),
        "SEQ_INFO": {"clip": None},
        "DO_PREPROC": False,
        "PRINT_CONFIG": False,
        "OUTPUT_FOLDER": str(folder / "scores"),
    }
    quiet = {"PRINT_RESULTS": False, "PRINT_CONFIG": False, "TIME_PROGRESS": False, "PLOT_CURVES": False}
    errors = {"BREAK_ON_ERROR": True, "LOG_ON_ERROR": None}
    with contextlib.redirect_stdout(io.StringIO()):
        data = trackeval.datasets.MotChallenge2DBox(settings)
        metrics = [trackeval.metrics.HOTA(), trackeval.metrics.CLEAR(), trackeval.metrics.Identity()]
        scores, _ = trackeval.Evaluator(trackeval.Evaluator.get_default_eval_config() | quiet | errors).evaluate(
            [data], metrics
        )
    found_scores = scores["MotChallenge2DBox"]["own"]["clip"]["pedestrian"]
    return {
        "HOTA": float(np.mean(found_scores["HOTA"]["HOTA"])),
        "MOTA": found_scores["CLEAR"]["MOTA"],
        "IDF1": found_scores["Identity"]["IDF1"],
        "boxes": found_scores["CLEAR"]["CLR_TP"],
    }


@pytest.mark.parametrize("kind", ["", "fps"])
def test_trackeval_finds_the_tracks_of_real_results_perfect(kind: str, crossing: Path, tmp_path: Path) -> None:
    folder = crossing / kind / "crossing"
    export(folder, crossing / "crossing.mp4", "mot", name="crossing")
    written = rows(folder / "mot" / "gt" / "gt.txt")
    assert len(written) > 200
    assert evaluated(folder / "mot", tmp_path) == {"HOTA": 1.0, "MOTA": 1.0, "IDF1": 1.0, "boxes": len(written)}
    assert about(folder) == {
        "name": "crossing",
        "imdir": "img1",
        "framerate": "25",
        "seqlength": "40",
        "imwidth": "1280",
        "imheight": "720",
        "imext": ".jpg",
    }


def test_a_line_is_a_confirmed_track_that_is_seen(small: Recording, tmp_path: Path) -> None:
    folder = small.into(tmp_path, "mot") / "mot"
    truth, tracks = rows(folder / "gt" / "gt.txt"), rows(folder / "tracks.txt")
    assert truth[4:6] == [[3, 1, 8, 32, 24, 16, 1, 2, 1], [3, 2, 72, 16, 12, 32, 1, 1, 1]]
    assert tracks[4:6] == [[3, 1, 8, 32, 24, 16, 0.9, -1, -1, -1], [3, 2, 72, 16, 12, 32, 0.52, -1, -1, -1]]
    assert len(truth) == len(tracks) == 24
    assert (folder / "gt" / "labels.txt").read_text().split() == ["person", "car", "road"]


def test_frames_of_a_gap_and_of_other_epochs_count(two_sizes: Recording, tmp_path: Path) -> None:
    folder = recording(two_sizes.video, change=lost(4, 6)).into(tmp_path, "mot")
    truth = rows(folder / "mot" / "gt" / "gt.txt")
    assert sorted({row[0] for row in truth}) == [1, 2, 3, 4, *range(8, 25)]
    assert {(row[0] > 12, row[1]) for row in truth} == {(False, 1), (False, 2), (True, 4), (True, 5)}
    assert (about(folder)["seqlength"], about(folder)["framerate"]) == ("24", "25")


def test_nothing_found_is_an_empty_list(small: Recording, tmp_path: Path) -> None:
    empty = tuple(without_objects(result) for result in results_in(small.items))
    folder = Recording(small.video, empty).into(tmp_path / "objects", "mot")
    assert rows(folder / "mot" / "gt" / "gt.txt") == rows(folder / "mot" / "tracks.txt") == []
    assert about(folder)["seqlength"] == "12"
    folder = Recording(small.video, ()).into(tmp_path / "results", "mot")
    assert about(folder)["seqlength"] == "0"


def test_a_name_stays_on_its_line(small: Recording, tmp_path: Path) -> None:
    odd = Classes(("a\nb,\u2028c", "car"), ("road",))
    items = tuple(replace(result, classes=odd) for result in results_in(small.items))
    folder = replace(small, items=items).into(tmp_path, "mot")
    assert (folder / "mot" / "gt" / "labels.txt").read_text().splitlines() == ["a b, c", "car", "road"]
    assert about(folder)["name"] == "clip"  # that of the results
    folder = Recording(small.video, (), name="50%\n[x]").into(tmp_path / "none", "mot")
    assert about(folder)["name"] == "50% [x]"
