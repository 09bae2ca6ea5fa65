"""`everyframe source` and `everyframe reload` against a pipeline that can be spoken to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cli.app import execute
from pipeline.config import PipelineConfig, check, load
from pipeline.control.attendance import attended
from tests.pipeline.control.fakes import FakeEngine

CANARY = "canary-secret"


class Site:
    """A pipeline of a name that no other test has, with a configuration file."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.file = folder / "site.yaml"
        self.folder = folder
        self.write("door=rtsp://192.0.2.1/a")
        self.engine = FakeEngine("door=rtsp://192.0.2.1/a")

    def write(self, *sources: str, batch: int = 0) -> None:
        state = f"supervisor: {{state_directory: '{self.folder}', name: '{self.name}'}}\n"
        listed = "".join(f"- '{source}'\n" for source in sources)
        self.file.write_text(f"{state}batch: {{max_batch: {batch}}}\nsources:\n{listed}")

    def read(self) -> PipelineConfig:
        return check(load(self.file))

    def source(self, *arguments: str) -> int:
        return execute(["source", *arguments, "--pipeline", self.name])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    with attended(site.read(), config_file=str(site.file), reread=site.read) as attendance:
        attendance.serve(site.engine)
        yield site


def test_sources_are_added_listed_paused_and_removed(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.source("add", "yard=rtsp://192.0.2.2/a", "--transport", "udp") == 0
    assert site.engine.sources[1].transport == "udp"
    assert site.source("pause", "yard") == 0
    assert site.source("list") == 0
    told = capsys.readouterr().out
    assert f"{site.name}: yard is added" in told
    rows = {line.split()[0]: line for line in told.splitlines() if line and not line.startswith("pipeline")}
    assert "streaming" in rows["door"]
    assert "paused" in rows["yard"]
    assert rows["yard"].endswith("rtsp://192.0.2.2/a (added)")
    assert site.source("resume", "yard") == site.source("remove", "yard") == 0
    assert [source.source_id for source in site.engine.sources] == ["door"]


def test_the_list_is_also_json(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.source("list", "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["pipeline"] == site.name
    (door,) = document["sources"]
    assert (door["source_id"], door["state"], door["epochs"], door["address"], door["added"]) == (
        "door",
        "STREAMING",
        1,
        "rtsp://192.0.2.1/a",
        False,
    )


def test_the_list_tells_devices_where_there_are_several(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.source("list") == 0
    assert " device " not in capsys.readouterr().out
    site.engine.places["door"] = "cuda:1"
    assert site.source("list") == site.source("list", "--format", "json") == 0
    told = capsys.readouterr().out
    _, head, row, *_ = told.splitlines()
    assert head.split()[:3] == ["source", "state", "device"]
    assert row.split()[2] == "cuda:1"
    assert '"device": "cuda:1"' in told


def test_a_password_is_warned_of_and_never_shown(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.source("add", f"yard=rtsp://viewer:{CANARY}@192.0.2.2/a?token={CANARY}") == 0
    assert site.source("list") == site.source("list", "--format", "json") == 0
    shown = capsys.readouterr()
    assert "${CAMERA_PASSWORD}" in shown.err
    assert CANARY not in shown.out + shown.err
    assert site.source("add", f"yard=rtsp://viewer:{CANARY}@192.0.2.2/a") == 2
    assert CANARY not in capsys.readouterr().err


def test_a_file_is_added_by_its_whole_path(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site.folder)
    assert site.source("add", "clip=clip.mp4", "--realtime") == 0
    assert (site.engine.sources[1].url, site.engine.sources[1].realtime) == (str(site.folder / "clip.mp4"), True)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["remove", "nobody"], 2, "no source is called 'nobody'"),
        (["add"], 2, "source add takes a source"),
        (["list", "door"], 2, "source list takes no source"),
        (["add", "x=ftp://192.0.2.1/a"], 2, "scheme"),
        (["add", "x=rtsp://u:${NOT_SET_ANYWHERE}@h/a"], 2, "NOT_SET_ANYWHERE, which is not set"),
        (["add", "x=rtsp://h/a", "--priority", "1000"], 2, "priority"),
        (["upset", "door"], 2, "invalid choice"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    site: Site, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    assert site.source(*arguments) == code
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert len(site.engine.sources) == 1


def test_an_unknown_pipeline_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["source", "list", "--pipeline", "surely-not-there"]) == 2
    assert "no pipeline called 'surely-not-there' runs" in capsys.readouterr().err


def test_reload_applies_the_edited_file(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.write("door=rtsp://192.0.2.1/a", "gate=rtsp://192.0.2.3/a")
    assert execute(["reload", "--pipeline", site.name]) == 0
    assert capsys.readouterr().out == f"{site.name}: added: gate; untouched: 1\n"
    site.write("gate=rtsp://192.0.2.3/b", batch=4)
    assert execute(["reload", "--pipeline", site.name]) == 2
    assert "batch.max_batch: cannot change while the pipeline runs" in capsys.readouterr().err
    site.write("gate=rtsp://192.0.2.3/b")
    assert execute(["reload", "--pipeline", site.name]) == 0
    assert capsys.readouterr().out == f"{site.name}: removed: door; changed: gate; untouched: 0\n"


def test_a_broken_file_changes_nothing(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.file.write_text("sources: [\n")
    assert execute(["reload", "--pipeline", site.name]) == 2
    assert "not valid YAML" in capsys.readouterr().err
    assert site.engine.told == []
