"""`everyframe process`: whole results or none, the same bytes however often it was ended."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline import build
from pipeline.cli.app import execute
from pipeline.config import check, parse
from pipeline.footage.digest import settings_digest
from pipeline.footage.shelf import Shelf
from pipeline.footage.work import Work
from tests.cameras.numbered import numbered_frames
from tests.pipeline.cli.command_line import ROOT, everyframe, one_line, started

WIDTH, HEIGHT = 320, 192
KILLS = int(os.environ.get("EVERYFRAME_KILLS", "2"))


def process(*arguments: str) -> Ran:
    """The command in this process, which has loaded what it needs already; with one worker unless told otherwise."""
    if "--workers" not in arguments and "--dry-run" not in arguments:
        arguments = (*arguments, "--workers", "1")
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = execute(["process", *arguments])
    return Ran(code, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Ran:
    """What a command gave."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips in a folder."""
    import av

    folder = tmp_path_factory.mktemp("footage") / "gate"
    folder.mkdir()
    for name, count in (("1.mp4", 30), ("2.mkv", 20)):
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            for picture in numbered_frames(count, WIDTH, HEIGHT):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
    return folder


@pytest.fixture(scope="module")
def whole(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run that nobody ended gives."""
    target = tmp_path_factory.mktemp("whole") / "results"
    done = process(str(footage), "--output", str(target))
    assert (done.returncode, done.stderr) == (0, "")
    told = sorted(line.partition(" ")[2] for line in done.stdout.splitlines()[:2])
    assert told == ["1: done, 30 results", "2: done, 20 results"]
    return target


def kept(directory: Path) -> dict[str, bytes]:
    """All that must be the same: timings vary."""
    files = (path for path in directory.rglob("*") if path.is_file() and path.name != "timings.jsonl")
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_results_are_those_of_run(footage: Path, whole: Path, tmp_path: Path) -> None:
    assert sorted(kept(whole)) == ["1/done.json", "1/results.jsonl", "2/done.json", "2/results.jsonl", "report.json"]
    for name, file in (("1", "1.mp4"), ("2", "2.mkv")):
        ran = everyframe("run", f"{name}={footage / file}", "--publish", "none", "-q", "-o", str(tmp_path / name))
        assert ran.returncode == 0, ran.stderr
        assert (whole / name / "results.jsonl").read_bytes() == (tmp_path / name / "results.jsonl").read_bytes()
    alone = process(str(footage / "2.mkv"), "-q", "--output", str(tmp_path / "alone"))
    assert (alone.returncode, alone.stdout, alone.stderr) == (0, "", "")
    assert kept(tmp_path / "alone")["2/results.jsonl"] == kept(whole)["2/results.jsonl"]


@pytest.mark.parametrize(("workers", "batch"), [(2, 32), (4, 8)])
def test_the_same_bytes_for_any_number_of_workers_and_size_of_batch(
    workers: int, batch: int, footage: Path, whole: Path, tmp_path: Path
) -> None:
    (tmp_path / "settings.yaml").write_text(f"batch: {{max_batch: {batch}}}\n")
    settings = ["--config", str(tmp_path / "settings.yaml"), "--workers", str(workers)]
    done = process(str(footage), "-q", "--output", str(tmp_path / "results"), *settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert kept(tmp_path / "results") == kept(whole)


def test_frames_are_of_the_time_that_the_name_says(footage: Path, tmp_path: Path) -> None:
    own, target = tmp_path / "20261126_103015.mp4", tmp_path / "results"
    shutil.copy(footage / "1.mp4", own)

    def first(*settings: str) -> int:
        done = process(str(own), "-q", "--output", str(target), "--detector", "none", *settings)
        assert (done.returncode, done.stderr) == (0, "")
        with (target / "20261126_103015" / "results.jsonl").open() as lines:
            return int(json.loads(next(lines))["capture_time_ns"])

    assert first() == 1795689015 * 10**9
    assert first("--zone", "Europe/Zurich") == (1795689015 - 3600) * 10**9
    assert first("--start", "2026-11-26T10:30:16.5+00:00") == 1795689016_500_000_000
    assert first("--start", "container") == 0
    planned = process(str(own), "--output", str(target), "--dry-run")
    assert planned.stdout.rstrip().endswith("began 2026-11-26T10:30:15+00:00")
    both = process(str(footage), "--output", str(target), "--start", "2026-11-26T10:30:15Z", "--dry-run")
    assert (both.returncode, "cannot be when 2 recordings began" in both.stderr) == (2, True)


def test_what_is_done_is_kept_until_its_file_or_the_settings_change(footage: Path, whole: Path, tmp_path: Path) -> None:
    own, target = tmp_path / "gate", tmp_path / "results"
    shutil.copytree(footage, own)

    def states(*settings: str) -> list[str]:
        done = process(str(own), "--output", str(target), "--detector", "none", *settings)
        assert (done.returncode, done.stderr) == (0, "")
        return [one["state"] for one in json.loads((target / "report.json").read_bytes())["recordings"]]

    assert states() == ["done", "done"]
    before = (target / "1" / "results.jsonl").stat().st_ino
    assert states() == ["kept", "kept"]
    assert (target / "1" / "results.jsonl").stat().st_ino == before
    (own / "2.mkv").touch()
    assert states() == ["kept", "done"]
    planned = process(str(own), "--output", str(target), "--detector", "none", "--every", "2", "--dry-run")
    assert [line.split()[:2] for line in planned.stdout.splitlines()] == [["analyse", "1"], ["analyse", "2"]]
    assert states("--every", "2") == ["done", "done"]
    assert states("--fps", "5") == ["done", "done"]
    assert not list(target.glob(".*"))


def test_a_run_that_is_killed_goes_on_where_it_was(footage: Path, whole: Path, tmp_path: Path) -> None:
    random_waits, target, ended = random.Random(6), tmp_path / "results", 0
    for _ in range(KILLS):
        running = started("process", str(footage), "--output", str(target))
        time.sleep(random_waits.uniform(0.5, 4.0))
        running.kill()
        running.communicate()
        ended += running.returncode == -signal.SIGKILL
        for name in ("1", "2"):
            if (target / name).exists():
                assert kept(whole / name).keys() == kept(target / name).keys()
                assert (target / name / "results.jsonl").read_bytes() == (whole / name / "results.jsonl").read_bytes()
        if ended >= 2 and (target / "1").exists() and random_waits.random() < 0.5:
            shutil.rmtree(target / "1")
    assert ended
    done = process(str(footage), "--output", str(target))
    assert (done.returncode, done.stderr) == (0, "")
    told = {name: data for name, data in kept(target).items() if name != "report.json"}
    assert told == {name: data for name, data in kept(whole).items() if name != "report.json"}
    assert not list(target.glob(".*"))


def test_what_cannot_be_read_is_named_and_costs_nothing_else(footage: Path, whole: Path, tmp_path: Path) -> None:
    own = tmp_path / "gate"
    shutil.copytree(footage, own)
    (own / "0.mp4").touch()
    (own / "9.mp4").write_bytes(b"not a video\n" * 1000)
    done = process(str(own), "--output", str(tmp_path / "results"))
    assert done.returncode == 1
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["everyframe", "everyframe"]
    assert "0.mp4 is empty" in done.stderr
    assert "9.mp4" in done.stderr
    assert "4 recordings: 2 done, 2 refused; 50 results" in done.stdout
    for name in ("1", "2"):
        assert kept(tmp_path / "results")[f"{name}/results.jsonl"] == kept(whole)[f"{name}/results.jsonl"]
    assert not (tmp_path / "results" / "0").exists()


def test_a_disk_that_is_full_ends_it_and_loses_nothing(footage: Path, whole: Path, tmp_path: Path) -> None:
    """Files may not grow to what the shorter recording's results need: the disk's own refusal by another name."""
    # Pieces, which are smaller, fit all the same: of those and results the one that grows too large first is told of.
    target, most = tmp_path / "results", (whole / "2" / "results.jsonl").stat().st_size - 1
    command = [sys.executable, "-m", "pipeline.cli", "process", str(footage), "--output", str(target)]
    full = subprocess.run(
        ["prlimit", f"--fsize={most}", *command], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False
    )
    assert full.returncode == 1
    assert "results.jsonl: cannot be written: File too large; free or choose" in one_line(full.stderr)
    assert {path.suffix for path in target.glob(".*")} == {".part"}
    assert not (target / "1").exists()
    done = process(str(footage), "-q", "--output", str(target))
    assert (done.returncode, done.stderr) == (0, "")
    assert kept(target) == kept(whole)


@pytest.mark.parametrize("setting", ["model", "weights"])
def test_other_weights_in_a_file_of_the_same_name_are_other_settings(setting: str, tmp_path: Path) -> None:
    file = tmp_path / "net.pth"

    def digest() -> str:
        detector = {"model": "torchvision:retinanet_resnet50_fpn", setting: str(file)}
        return settings_digest(check(parse({"sources": ["a=a.mp4"], "detector": detector})))

    file.write_bytes(b"one")
    first = digest()
    assert digest() == first
    file.write_bytes(b"two")
    assert digest() != first


def test_a_worker_has_one_thread_for_each_of_its_networks(tmp_path: Path) -> None:
    networks = {"detector": {"model": "det.onnx"}, "segmenter": {"model": "seg.onnx"}}
    config = check(parse({"sources": ["a=a.mp4"], "device": "cpu", **networks}))
    given = Work(config, [], Shelf(tmp_path), parts=build)._of_workers()
    assert given.segmenter_config is not None
    assert (given.detector_config.threads, given.segmenter_config.threads) == (1, 1)


def test_a_folder_of_somebody_s_own_is_not_replaced(footage: Path, tmp_path: Path) -> None:
    own = tmp_path / "results" / "1" / "diary.txt"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    ran = process(str(footage / "1.mp4"), "--output", str(tmp_path / "results"))
    assert ran.returncode == 1
    assert "results/1: this is there and has no done.json" in one_line(ran.stderr)
    assert own.read_text() == "mine"


def test_two_runs_do_not_write_into_one_folder(footage: Path, tmp_path: Path) -> None:
    first = started("process", str(footage), "--output", str(tmp_path / "results"))
    part = tmp_path / "results" / ".1.part"
    until = time.monotonic() + 60
    while not part.exists() and time.monotonic() < until:
        time.sleep(0.01)
    second = process(str(footage), "--output", str(tmp_path / "results"))
    assert (second.returncode, second.stdout) == (1, "")
    assert "another run writes here" in one_line(second.stderr)
    assert first.communicate(timeout=60)[1] == ""
    assert first.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_nothing_half_done(number: int, footage: Path, tmp_path: Path) -> None:
    running = started("process", str(footage), "--output", str(tmp_path / "results"))
    part = tmp_path / "results" / ".1.part" / "plan.json"
    until = time.monotonic() + 60
    while not part.exists() and time.monotonic() < until:
        time.sleep(0.01)
    running.send_signal(number)
    told, wrong = running.communicate(timeout=60)
    assert (running.returncode, wrong) == (128 + number, "")
    assert "left" in told
    assert {path.suffix for path in (tmp_path / "results").glob(".*")} == {".part"}, "the next run goes on with these"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{footage}", "--output", "{footage}/results"], "all well"),
        (["{footage}", "--output", "{footage}"], "--output: {footage} holds the recording"),
        (["{footage}/1.mp4", "--output", "{footage}/1.mp4"], "1.mp4: this is no folder"),
        (["nowhere", "--output", "x"], "nowhere: there is no such file or folder"),
        (["{footage}"], "--output"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    arguments: list[str], told: str, footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    shutil.copytree(footage, own)
    monkeypatch.chdir(tmp_path)
    ran = process(*(one.format(footage=own) for one in arguments), "--dry-run")
    if told == "all well":
        assert (ran.returncode, ran.stderr) == (0, "")
        assert not (own / "results").exists()
        return
    assert ran.returncode in (1, 2)
    assert told.format(footage=own) in one_line(ran.stderr)


def test_zones_which_it_does_not_watch_are_refused(footage: Path, tmp_path: Path) -> None:
    file = tmp_path / "everyframe.yaml"
    file.write_text(f"zones: {ROOT / 'samples' / 'crossing' / 'zones.yaml'}\n")
    ran = process(str(footage), "--output", str(tmp_path / "results"), "--config", str(file), "--dry-run")
    assert ran.returncode == 2
    assert "zones is set; 'everyframe process' writes files alone" in one_line(ran.stderr)
