"""Folders of segments in a pipeline: addresses, both engines, workers that die, the command."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.address import derive_source_id, is_folder, is_live, is_recording
from pipeline.build import Pipeline
from pipeline.cli.app import execute
from pipeline.cli.run_settings import check_outputs
from pipeline.config import SourceConfig, check, named_sources, parse
from pipeline.control.added import AddedSources
from pipeline.control.protocol import AddSource
from pipeline.control.steward import Steward
from pipeline.engines.local import LocalEngine
from pipeline.errors import ConfigError
from tests.cameras import numbered_frames
from tests.cameras.files import write_video
from tests.pipeline.cli.command_line import started
from tests.pipeline.control.fakes import FakeEngine
from tests.pipeline.engines import Reader, check_in_order, results, status_of, wait_for, worker_pid

BUILDER = "tests.pipeline.numbered_build"
EACH = 5
QUICK = {"poll_seconds": 0.05, "settle_seconds": 0}


def segment(folder: Path, number: int, *, frames: int = EACH, age: float = 0.0) -> None:
    pictures = numbered_frames(frames, 320, 240, first=EACH * number + 1)
    whole = write_video(folder / ".new.mp4", pictures, options={"crf": "10"})
    written = whole.stat().st_mtime - age
    os.utime(whole, (written, written))
    whole.rename(folder / f"seg{number}.mp4")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "rec"
    folder.mkdir()
    return folder


@pytest.fixture
def engine_of(tmp_path: Path) -> Iterator[Callable[..., LocalEngine]]:
    engines = []

    def make(*sources: Any, **settings: Any) -> LocalEngine:
        values = {"publish": {"bind": None}, "supervisor": {"state_directory": str(tmp_path / "state")}, **settings}
        engine = LocalEngine(check(parse({**values, "sources": list(sources)})), deliver=True, builder=BUILDER)
        engines.append(engine)
        engine.start()
        return engine

    yield make
    for engine in engines:
        engine.close()


def numbers(items: list[Any]) -> list[int]:
    return [int(result.detections.boxes[0, 2]) for result in results(items, "gate")]


def test_a_folder_is_known_by_how_it_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (given,) = named_sources([str(folder)])
    assert (given.url, given.source_id) == (f"{folder}/", "rec")
    assert named_sources([given]) == [given]
    folder.rmdir()
    assert is_folder(given.url)
    assert not is_folder(str(folder))
    assert (is_live(given.url), is_recording(given.url), is_recording("a.mp4"), is_folder("rtsp://h/a/")) == (
        *(False, False, True),
        False,
    )
    assert (given.lossless, given.offline) == (True, False)
    monkeypatch.setenv("REC", "/recordings/gate/")
    assert is_folder("${REC}")
    assert derive_source_id("/recordings/cam.1/") == "cam.1"


def test_epochs_and_batches_of_a_folder_are_not_those_of_a_recording(folder: Path) -> None:
    config = check(parse({"sources": [str(folder)]}))
    assert config.frames_a_batch == 1
    assert check(parse({"sources": ["a.mp4"]})).frames_a_batch > 1


def test_segments_are_analysed_as_they_come_and_epochs_go_on_in_the_next_run(
    folder: Path, engine_of: Callable[..., LocalEngine]
) -> None:
    source = {"url": str(folder), "source_id": "gate", **QUICK}
    segment(folder, 0)
    engine = engine_of(source)
    reader = Reader(engine)
    reader.until(lambda items: len(results(items, "gate")) == EACH)
    assert status_of(engine, "gate").state == "STREAMING"
    segment(folder, 1)
    items = reader.until(lambda items: len(results(items, "gate")) == 2 * EACH)
    assert numbers(items) == list(range(1, 2 * EACH + 1))
    assert {result.epoch for result in results(items, "gate")} == {1, 2}
    assert not engine.finished
    engine.stop()
    check_in_order(reader.rest(), "gate")
    assert status_of(engine, "gate").state == "ENDED"
    again = Reader(engine_of(source))
    items = again.until(lambda items: len(results(items, "gate")) == EACH)
    assert results(items, "gate")[0].epoch == 3


def test_a_bad_segment_is_told_of_and_does_not_end_the_source(
    folder: Path, engine_of: Callable[..., LocalEngine]
) -> None:
    (folder / "seg0.mp4").write_bytes(b"nothing")
    segment(folder, 1)
    engine = engine_of({"url": str(folder), "source_id": "gate", **QUICK})
    Reader(engine).until(lambda items: len(results(items, "gate")) == EACH)
    (complaint,) = engine.complaints
    assert complaint.startswith(f"gate: {folder}/seg0.mp4 is no video that can be read")
    assert status_of(engine, "gate").undecoded == 1


def test_a_worker_that_dies_is_replaced_and_reads_nothing_twice(
    folder: Path, engine_of: Callable[..., LocalEngine]
) -> None:
    segment(folder, 0)
    engine = engine_of({"url": str(folder), "source_id": "gate", **QUICK})
    reader = Reader(engine)
    reader.until(lambda items: len(results(items, "gate")) == EACH)
    os.kill(worker_pid(engine, "camera"), signal.SIGKILL)
    segment(folder, 1)
    items = reader.until(lambda items: len(results(items, "gate")) >= 2 * EACH)
    assert numbers(items) == list(range(1, 2 * EACH + 1))
    check_in_order(items, "gate")
    assert any("camera worker of gate ended (SIGKILL)" in complaint for complaint in engine.complaints)


def test_a_folder_that_is_not_there_yet_is_tried_again(folder: Path, engine_of: Callable[..., LocalEngine]) -> None:
    folder.rmdir()
    quick = {"state_directory": str(folder.parent / "state"), "auth_retry_seconds": 0.1}
    engine = engine_of({"url": f"{folder}/", "source_id": "gate", **QUICK}, supervisor=quick)
    wait_for(lambda: status_of(engine, "gate").reconnects > 0)
    folder.mkdir()
    segment(folder, 0)
    Reader(engine).until(lambda items: len(results(items, "gate")) == EACH)


def test_a_folder_that_waits_can_be_paused_and_stopped(folder: Path, engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of({"url": str(folder), "source_id": "gate", "poll_seconds": 600, "settle_seconds": 0})
    reader = Reader(engine)
    wait_for(lambda: status_of(engine, "gate").state == "CONNECTING")
    engine.pause_source("gate")
    wait_for(lambda: status_of(engine, "gate").state == "PAUSED")
    segment(folder, 0)
    engine.resume_source("gate")
    wait_for(lambda: status_of(engine, "gate").state == "CONNECTING")
    engine.stop()
    check_in_order(reader.rest(), "gate")
    assert status_of(engine, "gate").state == "ENDED"


def test_inline(folder: Path) -> None:
    segment(folder, 0)
    pipeline = Pipeline(sources=[SourceConfig(url=str(folder), source_id="gate", **QUICK)], detector="none")
    seen = []
    for result in pipeline.run():
        seen.append((result.epoch, result.seq))
        if len(seen) == EACH:
            segment(folder, 1)
        if len(seen) == 2 * EACH:
            pipeline.stop()
    assert seen == [(epoch, seq) for epoch in (1, 2) for seq in range(EACH)]


def test_a_folder_that_was_added_is_kept_for_the_next_start(folder: Path, tmp_path: Path) -> None:
    config = check(parse({"sources": ["door=rtsp://192.0.2.1/a"]}))
    store = AddedSources("site", tmp_path)
    steward = Steward(FakeEngine(*config.source_configs), name="site", config=config, added=store)
    steward.answer(AddSource(SourceConfig(url=str(folder))))
    assert store.load()["rec"].url == f"{folder}/"


def test_an_annotated_video_among_the_segments_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"out\.mp4 would be taken for a segment of the source 'rec'"):
        check_outputs(check(parse({"sources": [str(folder)], "output": {"annotate": str(folder / "out.mp4")}})))


def test_the_command_runs_until_it_is_interrupted(folder: Path, tmp_path: Path) -> None:
    segment(folder, 0, age=60)
    results_file = tmp_path / "results" / "results.jsonl"
    process = started(
        *("run", f"gate={folder}", "--detector", "none", "--publish", "none", "-q"),
        *("--output", str(results_file.parent)),
        XDG_STATE_HOME=str(tmp_path / "state"),
    )
    try:
        wait_for(lambda: results_file.exists() and results_file.read_bytes().count(b"\n") >= EACH)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, errors) == (0, "")


def test_a_folder_is_probed_by_its_first_segment(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["probe", str(folder)]) == 1
    assert "holds no segment that is complete" in capsys.readouterr().out
    segment(folder, 0, frames=30, age=60)
    assert execute(["probe", str(folder)]) == 0
