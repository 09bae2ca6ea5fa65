"""`everyframe summary` on what `everyframe process` made of the sample, counted anew without its code."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import cv2
import msgspec
import pytest
import yaml
from rich.console import Console

from pipeline.cli.app import execute
from pipeline.cli.ask_tables import print_document
from pipeline.figures.document import Document
from tests.pipeline.cli.command_line import ROOT, everyframe, one_line
from tests.stages.zones import slow

CLIP = ROOT / "samples" / "crossing" / "crossing.mp4"
ZONES = ROOT / "samples" / "crossing" / "zones.yaml"


def summary(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = execute(["summary", *arguments])
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `process` writes of the sample, every fifth frame analysed."""
    folder = tmp_path_factory.mktemp("results")
    ran = everyframe("process", str(CLIP), "--output", str(folder), "--fps", "5", "--quiet")
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.fixture(scope="module")
def lines(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (results / "crossing" / "results.jsonl").read_text().splitlines()]


def confirmed(line: dict[str, Any]) -> list[dict[str, Any]]:
    return [track for track in line["tracks"] if track["state"] == "confirmed"]


def test_counts_are_those_of_the_lines(results: Path, lines: list[dict[str, Any]]) -> None:
    code, out, err = summary(str(results), "--every", "2s", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    part = document["overall"]
    assert part == {**document["recordings"][0], "recording": "", "source_id": ""}
    assert (part["frames"], part["time"], part["observed_seconds"]) == (350, "position", 14.0)
    tracks: dict[str, set[int]] = defaultdict(set)
    per_bin: dict[int, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    at_once: dict[str, list[int]] = defaultdict(lambda: [0] * 350)
    for i, line in enumerate(lines):
        for track in confirmed(line):
            name = track["class_name"]
            tracks[name].add(track["id"])
            per_bin[line["capture_time_ns"] // (2 * 10**9)][name].add(track["id"])
            at_once[name][i] += 1
    assert {one["class_name"]: one["tracks"] for one in part["classes"]} == {n: len(ids) for n, ids in tracks.items()}
    for one in part["classes"]:
        assert one["most_at_once"] == max(at_once[one["class_name"]])
        assert one["mean_at_once"] == pytest.approx(sum(at_once[one["class_name"]]) / 350, abs=1e-3)
    assert len(part["bins"]) == 7
    for one in part["bins"]:
        expected = per_bin[one["begins_ns"] // (2 * 10**9)]
        assert {c["class_name"]: c["tracks"] for c in one["classes"]} == {n: len(ids) for n, ids in expected.items()}


def test_lines_and_zones_are_those_of_the_slow_reference(
    results: Path, lines: list[dict[str, Any]], tmp_path: Path
) -> None:
    values = yaml.safe_load(ZONES.read_text())
    values["margin"] = 0  # the reference knows no boxes
    file = tmp_path / "zones.yaml"
    file.write_text(yaml.safe_dump(values))
    code, out, err = summary(str(results), "--zones", str(file), "--json")
    assert (code, err) == (0, "")
    part = json.loads(out)["overall"]
    walks: dict[int, list[tuple[int, tuple[float, float]]]] = defaultdict(list)
    classes: dict[int, str] = {}
    for line in lines:
        for track in confirmed(line):
            left, _, right, bottom = track["box"]
            walks[track["id"]].append((line["capture_time_ns"], ((left + right) / 2, bottom)))
            classes[track["id"]] = track["class_name"]
    crossed: dict[tuple[str, str], int] = {}
    for place in values["lines"]:
        for word in place["directions"]:
            crossed[place["name"], word] = 0
        for track, walk in walks.items():
            if classes[track] in place.get("classes", [classes[track]]):
                for _, sign in slow.lines_crossed([point for _, point in walk], place["points"], 0.0):
                    crossed[place["name"], place["directions"][0 if sign > 0 else 1]] += 1
    assert {(one["line"], one["direction"]): one["count"] for one in part["lines"]} == crossed
    assert sum(crossed.values()) >= 5
    for place, told in zip(values["zones"], part["zones"], strict=True):
        visits = [
            (left - entered) / 1e9
            for track, walk in walks.items()
            if classes[track] in place.get("classes", [classes[track]])
            for entered, left in slow.visits(
                [point for _, point in walk],
                [time for time, _ in walk],
                place["points"],
                0.0,
                round(place.get("min_dwell_seconds", 0) * 1e9),
            )
        ]
        assert (told["visits"]["count"], told["visits"]["longest_seconds"]) == (len(visits), max(visits))
        assert told["occupied_share"] > 0


def test_tables_have_a_row_for_every_class_line_and_zone(results: Path) -> None:
    code, out, err = summary(str(results), "--zones", str(ZONES))
    assert (code, err) == (0, "")
    assert "350 results, 14.0 s, from 00:00 to 00:14" in out
    for word in ("person", "car", "to-the-left", "far-kerb", "junction", "zebra", "00:13", "█"):
        assert word in out
    assert all(len(line) <= 200 for line in out.splitlines())


def test_a_narrow_terminal_cuts_nothing_off(results: Path) -> None:
    document = msgspec.json.decode(summary(str(results), "--zones", str(ZONES), "--json")[1], type=Document)
    for width in (80, 100, 140):
        console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
        print_document(document, console)
        told = console.file.getvalue()  # type: ignore[attr-defined]
        assert max(map(len, told.splitlines())) <= width
        assert "…" not in told
        assert "to-the-right" in told


def test_the_picture_is_drawn(results: Path, tmp_path: Path) -> None:
    file = tmp_path / "plot.png"
    code, _, err = summary(str(results), "--zones", str(ZONES), "--plot", str(file))
    assert (code, err) == (0, "")
    picture = cv2.imread(str(file))
    assert picture.shape[1] == 1280
    assert picture.shape[0] > 1200  # six panels
    assert len({tuple(pixel) for pixel in picture[::7, ::7].reshape(-1, 3).tolist()}) > 10


def test_a_request_that_cannot_be_is_one_line(results: Path, tmp_path: Path) -> None:
    file = tmp_path / "zones.yaml"
    file.write_text("coordinates: fractions\nlines: [{name: a, points: [[0, 0], [2, 0]]}]\n")
    for arguments, says in (
        ([str(tmp_path / "none")], "no such folder"),
        ([str(results), "--zones", str(file)], "lines[0].points[1]: [2, 0] is outside of the picture"),
        ([str(results), "--every", "soon"], "--every: 'soon' is no duration"),
        ([str(results), "--plot", "a.jpg"], "--plot: a.jpg is no PNG"),
        ([str(results), "--from", "1h"], "no result is in it from 1h"),
    ):
        code, out, err = summary(*arguments)
        assert (code, out) == (2, "")
        assert says in one_line(err)


def test_a_picture_that_cannot_be_written_and_a_broken_line_fail(results: Path, tmp_path: Path) -> None:
    code, _, err = summary(str(results), "--plot", str(tmp_path / "none" / "a.png"))
    assert (code, "cannot be written" in one_line(err)) == (1, True)
    (tmp_path / "results.jsonl").write_text("broken\n")
    code, _, err = summary(str(tmp_path))
    assert (code, "line 1: not a result" in one_line(err)) == (1, True)


def test_help_shows_a_zones_file_and_the_exit_codes() -> None:
    with pytest.raises(SystemExit):
        summary("--help")
    ran = everyframe("summary", "--help")
    assert "coordinates: fractions" in ran.stdout
    assert "exit codes:" in ran.stdout
