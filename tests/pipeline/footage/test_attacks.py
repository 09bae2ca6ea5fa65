"""Faults of `everyframe process` that were seen: each test says what should be, and fails until it is."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.batching import Cadence
from pipeline.config import SourceConfig, check, parse
from pipeline.footage import cutting
from pipeline.footage.crew import Crew, Heard
from pipeline.footage.cutting import Selection, cut
from pipeline.footage.worker import Analyse, Finished
from pipeline.messages import Piece
from stages.decode.piece_reader import PieceReader
from stages.decode.source import open_source
from stages.decode.survey import survey
from tests.pipeline.cli.command_line import ROOT
from tests.pipeline.footage.test_process_command import Ran, process

RATE = 25


def clip(path: Path, frames: int, *, group: int = 20, size: tuple[int, int] = (160, 96), **options: str) -> Path:
    """A video whose every picture is another, a frame every 40 ms."""
    import av

    width, height = size
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(
            "libx264", rate=RATE, options={"g": str(group), "bf": "2", "preset": "veryfast", **options}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            picture = np.zeros((height, width, 3), np.uint8)
            picture[:, number * 3 % width : number * 3 % width + 20] = 255
            picture[::7] = number * 5 % 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def without_first(path: Path, target: Path, count: int) -> Path:
    """The same packets but for the first, so that what comes up to the next keyframe cannot be decoded."""
    import av

    with av.open(str(path)) as source, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in itertools.islice(source.demux(video=0), count, None):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    return target


def looked_at(directory: Path, *arguments: str) -> Ran:
    return process(*arguments, "--detector", "none", "--output", str(directory))


def lines(directory: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / name / "results.jsonl").read_text().splitlines()]


def report(directory: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((directory / "report.json").read_text())["recordings"]
    return found


def killed_worker(directory: Path, name: str, *arguments: str) -> None:
    """Run the command, and kill its only worker once two pieces are there."""
    command = [sys.executable, "-m", "pipeline.cli", "process", "--detector", "none", "--workers", "1", "-q"]
    run = subprocess.Popen(
        [*command, "--output", str(directory), *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while time.monotonic() < until and run.poll() is None:
        if len(list(directory.glob(f".{name}.part/pieces/*.piece"))) >= 2:
            for child in Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
            break
        time.sleep(0.005)
    else:
        pytest.fail("no worker was there to be killed")
    run.wait(60)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("long") / "a.mp4", 2000, group=50, size=(320, 176))


def test_a_killed_worker_costs_no_frame_of_a_segment_for_ever(long: Path, tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(long, folder / name)
    killed_worker(tmp_path / "out", "gate", str(folder), "--one-source", "gate")
    looked_at(tmp_path / "out", str(folder), "--one-source", "gate")  # the same command again
    (gate,) = report(tmp_path / "out")
    assert (gate["counts"]["frames"], gate["refused"]) == (4000, [])


def test_a_killed_worker_does_not_throw_away_what_was_done(long: Path, tmp_path: Path) -> None:
    killed_worker(tmp_path, "a", str(long))
    (one,) = report(tmp_path)
    pieces = list(tmp_path.glob(".a.part/pieces/*.piece"))
    assert one["state"] == "done" or len(pieces) >= 2, "pieces that are whole are for the next run"


@pytest.mark.parametrize("kind", ["broken", "too short"])
def test_many_recordings_that_give_nothing_need_few_open_files(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    short = clip(tmp_path / "short.mp4", 10)
    for number in range(60):
        if kind == "broken":
            (folder / f"{number}.mp4").write_bytes(b"nothing of the kind" * 99)
        else:
            shutil.copy(short, folder / f"{number}.mp4")
    command = [sys.executable, "-m", "pipeline.cli", "process", "--detector", "none", "--from", "90", str(folder)]
    limited = ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *command, "--output", str(tmp_path / "out")]
    done = subprocess.run(limited, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "Too many open files" not in done.stderr
    assert [one["state"] for one in report(tmp_path / "out")] == ["refused"] * 60


def test_keyframes_of_a_time_that_holds_none(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", 60)
    done = looked_at(tmp_path / "out", str(path), "--keyframes", "--from", "90")
    assert done.returncode == 1
    assert "nothing of the time that is asked for" in done.stderr


def test_keyframes_of_a_time_keep_their_own_time(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", 100)
    looked_at(tmp_path / "all", str(path))
    looked_at(tmp_path / "keys", str(path), "--keyframes", "--from", "1.5")
    times = {one["pts"]: one["capture_time_ns"] for one in lines(tmp_path / "all", "a")}
    found = lines(tmp_path / "keys", "a")
    assert found
    assert [one["capture_time_ns"] for one in found] == [times[one["pts"]] for one in found]


def test_a_time_of_a_recording_whose_first_keyframe_is_late_keeps_its_own_time(tmp_path: Path) -> None:
    path = without_first(clip(tmp_path / "whole.mkv", 100), tmp_path / "a.mkv", 8)
    looked_at(tmp_path / "all", str(path))
    looked_at(tmp_path / "some", str(path), "--from", "2")
    times = {one["pts"]: one["capture_time_ns"] for one in lines(tmp_path / "all", "a")}
    found = lines(tmp_path / "some", "a")
    assert found
    assert [one["capture_time_ns"] for one in found] == [times[one["pts"]] for one in found]


def test_every_n_counts_frames_that_can_be_decoded(tmp_path: Path) -> None:
    path = without_first(clip(tmp_path / "whole.mkv", 100), tmp_path / "a.mkv", 8)
    looked_at(tmp_path / "out", str(path), "--every", "5")
    analysed = [one["analysed"] for one in lines(tmp_path / "out", "a")]
    assert analysed == [number % 5 == 0 for number in range(len(analysed))]


@pytest.mark.parametrize("fps", [3.0, 7.5])
def test_so_many_a_second_counts_frames_that_can_be_decoded(fps: float, tmp_path: Path) -> None:
    path = without_first(clip(tmp_path / "whole.mkv", 100), tmp_path / "a.mkv", 8)
    looked_at(tmp_path / "out", str(path), "--fps", str(fps))
    found = lines(tmp_path / "out", "a")
    wants = Cadence(fps).wants
    assert [one["analysed"] for one in found] == [wants(one["capture_time_ns"]) for one in found]


def test_a_segment_outside_the_time_that_is_asked_for_is_no_loss(tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    folder.mkdir()
    clip(folder / "a.mp4", 100)
    clip(folder / "b.mp4", 20)
    done = looked_at(tmp_path / "out", str(folder), "--one-source", "gate", "--from", "2")
    (gate,) = report(tmp_path / "out")
    assert (gate["counts"]["frames"], gate["counts"]["undecoded"], done.returncode) == (50, 0, 0)


@pytest.mark.parametrize("name", ["report.json", ""])
def test_a_name_that_cannot_be_a_folder_is_refused_before_any_work(name: str, tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", 10)
    done = looked_at(tmp_path / "out", str(path), "--one-source", name)
    assert done.returncode == 2
    assert "--one-source" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a${HOME}b.mp4", "a${EVERYFRAME_NOT_SET}b.mp4"])
def test_a_file_is_called_as_it_is(name: str, tmp_path: Path) -> None:
    shutil.copy(clip(tmp_path / "a.mp4", 10), tmp_path / name)
    done = looked_at(tmp_path / "out", str(tmp_path / "a.mp4"), str(tmp_path / name))
    assert (done.returncode, [one["state"] for one in report(tmp_path / "out")]) == (0, ["done", "done"])


def test_no_picture_is_missing_after_a_hole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "FEWEST_FRAMES", 8)
    monkeypatch.setattr(cutting, "PIECE_FRAMES", 16)
    path = clip(tmp_path / "a.mkv", 120, group=12, **{"x264-params": "open-gop=1:bframes=3:scenecut=0"})
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(2)
    for _ in range(int(rng.integers(1, 8))):
        at, count = int(rng.integers(len(data) // 10, len(data) - 50)), int(rng.integers(1, 30))
        data[at : at + count] = rng.bytes(count)
    path.write_bytes(data)
    source = SourceConfig(url=str(path), source_id="a")
    reader = open_source(source, next_epoch=itertools.count(1).__next__)
    wanted = sorted(frame.pts for frame in reader if frame.pts is not None)
    reader.close()
    found: list[int] = []
    for one in cut(survey(source), Selection(), workers=8):
        piece = PieceReader(source, one.piece)
        found += [picture.pts for picture in piece.pictures() if picture.pts is not None]
        piece.close()
    assert sorted(found) == wanted


def test_keyframes_come_in_order_where_pictures_are_refreshed_bit_by_bit(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", 120, **{"x264-params": "intra-refresh=1:keyint=20"})
    looked_at(tmp_path / "all", str(path))
    looked_at(tmp_path / "keys", str(path), "--keyframes")
    times = {one["pts"]: one["capture_time_ns"] for one in lines(tmp_path / "all", "a")}
    found = lines(tmp_path / "keys", "a")
    assert [(one["pts"], one["discontinuity"]) for one in found] == [(one["pts"], False) for one in by_time(found)]
    assert [one["capture_time_ns"] for one in found] == [times[one["pts"]] for one in found]
    looked_at(tmp_path / "some", str(path), "--keyframes", "--from", "1", "--to", "2.5")
    (some,) = report(tmp_path / "some")
    assert some["counts"]["undecoded"] == 0


def by_time(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=lambda one: int(one["pts"]))


def test_an_order_for_an_idle_worker_that_has_died_is_done_by_another(tmp_path: Path) -> None:
    path = str(clip(tmp_path / "a.mp4", 20))
    config = parse({"sources": [{"url": path, "source_id": "a"}], "detector": {"model": "none"}, "engine": "inline"})
    order = Analyse(path, "", Piece(), Selection(), False, str(tmp_path / "a.piece"))
    with Crew(check(config), 1) as crew:
        for _ in range(2):
            crew.give(order)
            heard: list[Heard] = []
            while crew.busy:
                heard += crew.listen()
            assert isinstance(heard[-1].report, Finished)
            for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
                if b"pipeline.footage.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(int(child), signal.SIGKILL)
