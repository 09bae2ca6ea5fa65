"""Standard input as a source: through the workers, from pipes and files, and where it cannot be."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.address import derive_source_id, is_folder, is_live, is_recording, redact, scheme_of
from pipeline.config import PipelineConfig, check, parse
from pipeline.config.sources import SourceConfig
from pipeline.control.added import AddedSources
from pipeline.control.protocol import AddSource, Reload
from pipeline.control.steward import Steward, with_added
from pipeline.engines.local import LocalEngine
from pipeline.errors import ConfigError, UsageError
from tests.cameras import numbered_frames
from tests.cameras.files import write_video
from tests.pipeline.cli.command_line import ROOT
from tests.pipeline.control.fakes import FakeEngine

FRAMES = 40
DOOR = "door=rtsp://192.0.2.1/a"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clips") / "clip.ts", numbered_frames(FRAMES, 320, 240))


def run(arguments: Sequence[str], *, folder: Path, stdin: int) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state")}
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        cwd=folder,
        check=False,
    )


def run_of(*sources: str, folder: Path, stdin: int, engine: str = "local") -> list[tuple[str, int, int]]:
    """Source, epoch and number of every result."""
    options = ("--detector", "none", "--publish", "none", "-q", "--output", "out", "--engine", engine)
    done = run(("run", *sources, *options), folder=folder, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, "")
    lines = (folder / "out" / "results.jsonl").read_text().splitlines()
    return [(item["source_id"], item["epoch"], item["seq"]) for item in map(json.loads, lines)]


def piped(data: bytes) -> tuple[int, subprocess.Popen[bytes]]:
    """The reading end of a pipe that these bytes come through."""
    script = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
    writer = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdin is not None
    writer.stdin.write(data)
    writer.stdin.close()
    assert writer.stdout is not None
    return writer.stdout.fileno(), writer


@pytest.mark.parametrize("engine", ["local", "inline"])
def test_a_stream_through_a_pipe_is_analysed_whole(clip: Path, tmp_path: Path, engine: str) -> None:
    stdin, writer = piped(clip.read_bytes())
    with writer:
        assert run_of("cam=-", folder=tmp_path, stdin=stdin, engine=engine) == [("cam", 1, i) for i in range(FRAMES)]


def test_a_file_as_standard_input_can_be_sought_in(tmp_path: Path) -> None:
    index_at_the_end = write_video(tmp_path / "clip.mp4", numbered_frames(FRAMES, 320, 240))
    with index_at_the_end.open("rb") as file:
        assert run_of("-", folder=tmp_path, stdin=file.fileno()) == [("stdin", 1, i) for i in range(FRAMES)]


def test_what_cannot_be_sought_in_says_so(tmp_path: Path) -> None:
    index_at_the_end = write_video(tmp_path / "clip.mp4", numbered_frames(FRAMES, 320, 240))
    stdin, writer = piped(index_at_the_end.read_bytes())
    with writer:
        done = run(("run", "-", "--detector", "none", "--publish", "none", "-q"), folder=tmp_path, stdin=stdin)
    assert done.returncode == 1
    assert "an MP4 with its index at the end, cannot come through a pipe" in done.stderr


@pytest.mark.parametrize("text", [b"ffconcat version 1.0\nfile clip.ts\n", b"#EXTM3U\n#EXTINF:1,\nclip.ts\n"])
def test_a_playlist_opens_nothing(clip: Path, text: bytes) -> None:
    stdin, writer = piped(text)
    with writer:
        done = run(("probe", "-"), folder=clip.parent, stdin=stdin)
    assert done.returncode == 1
    assert "is no video that can be read" in " ".join(done.stdout.split())


def test_it_can_be_probed(clip: Path, tmp_path: Path) -> None:
    with clip.open("rb") as file:
        done = run(("probe", "-", "--format", "json"), folder=tmp_path, stdin=file.fileno())
    assert done.returncode == 0
    assert json.loads(done.stdout)["found"]["frames"] == FRAMES


def test_a_pipe_into_which_nothing_comes_does_not_hold_up_the_end(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pipeline.cli",
            "run",
            "-",
            "--detector",
            "none",
            "--publish",
            "none",
            "--log-format=json",
        ],
        stdin=reading,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path)},
    )
    os.close(reading)
    try:
        assert process.stderr is not None
        while '"worker_ready"' not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    finally:
        process.kill()
        os.close(writing)
    assert process.returncode == 130


def test_a_terminal_is_refused(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        for command in ("run", "probe"):
            done = run((command, "-"), folder=tmp_path, stdin=theirs)
            assert done.returncode == 2
            assert "standard input is a terminal; pipe a video into it" in done.stderr
    finally:
        os.close(ours)
        os.close(theirs)


def test_the_address() -> None:
    assert (scheme_of("-"), derive_source_id("-"), redact("-")) == ("stdin", "stdin", "-")
    assert (is_live("-"), is_folder("-"), is_recording("-")) == (False, False, True)
    assert scheme_of("./-") == "file"
    (source,) = check(parse({"sources": ["cam=-"]})).source_configs
    assert (source.lossless, source.offline) == (True, True)


def test_only_one_source_can_read_it() -> None:
    with pytest.raises(ConfigError, match="only one can read standard input"):
        check(parse({"sources": ["-", "cam=-"]}))


def test_it_cannot_be_added_to_a_pipeline_that_runs(tmp_path: Path) -> None:
    engine = LocalEngine(check(parse({"sources": [DOOR], "supervisor": {"state_directory": str(tmp_path)}})))
    try:
        with pytest.raises(UsageError, match=r"'cam': standard input .* cannot be added to one that runs"):
            engine.add_source("cam=-")
        steward = Steward(engine, name="site", config=engine._config, added=AddedSources("site", tmp_path))
        with pytest.raises(UsageError, match="cannot be added"):
            steward.answer(AddSource(SourceConfig(url="-")))
    finally:
        engine.close()


def test_an_edited_file_with_it_changes_nothing(tmp_path: Path) -> None:
    config, edited = (check(parse({"sources": sources})) for sources in ([DOOR], [DOOR, "rtsp://192.0.2.2/a", "-"]))
    engine = FakeEngine(*config.source_configs)
    store = AddedSources("site", tmp_path)
    steward = Steward(engine, name="site", config=config, added=store, reread=lambda: edited)
    with pytest.raises(UsageError, match="cannot be added"):
        steward.answer(Reload())
    assert engine.told == []


def test_a_reload_leaves_it_alone(tmp_path: Path) -> None:
    config: PipelineConfig = check(parse({"sources": [DOOR, "-"]}))
    engine = FakeEngine(*config.source_configs)
    store = AddedSources("site", tmp_path)
    store.save([SourceConfig(url="-", source_id="smuggled")])
    Steward(engine, name="site", config=config, added=store, reread=lambda: config).answer(Reload())
    assert engine.told == []
    assert [source.source_id for source in with_added(config, store.load()).source_configs] == ["door", "stdin"]
