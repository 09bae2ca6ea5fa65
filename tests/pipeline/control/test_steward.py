"""What a running pipeline does when asked, what it keeps, and how an edited configuration is applied."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import PipelineConfig, SourceConfig, check, parse
from pipeline.control.added import AddedSources
from pipeline.control.attendance import attended
from pipeline.control.protocol import (
    AddSource,
    Done,
    ListSources,
    PauseSource,
    Reload,
    Reloaded,
    RemoveSource,
    ResumeSource,
    Sources,
)
from pipeline.control.reload import differences
from pipeline.control.steward import Steward, with_added
from pipeline.errors import AddressError, ConfigError, UsageError
from tests.pipeline.control.fakes import FakeEngine

DOOR, YARD, GATE = "door=rtsp://192.0.2.1/a", "yard=rtsp://192.0.2.2/a", "gate=rtsp://192.0.2.3/a"


def config_of(*sources: str | dict[str, Any], **settings: Any) -> PipelineConfig:
    return check(parse({"sources": list(sources), **settings}))


def source(text: str) -> SourceConfig:
    (found,) = config_of(text).source_configs
    return found


class Pipeline:
    """A steward with its engine; `file` is what the configuration file holds."""

    def __init__(self, directory: Path, *sources: str, most: int = 8) -> None:
        self.store = AddedSources("site", directory)
        self.file = config_of(*sources)
        config = with_added(self.file, self.store.load())
        self.engine = FakeEngine(*config.source_configs, most=most)
        self.steward = Steward(self.engine, name="site", config=self.file, added=self.store, reread=lambda: self.file)

    @property
    def names(self) -> list[str]:
        return [present.source_id for present in self.engine.sources]

    def reload(self) -> Reloaded:
        reply = self.steward.answer(Reload())
        assert isinstance(reply, Reloaded)
        return reply


def test_a_source_that_was_added_comes_back_until_it_is_removed(tmp_path: Path) -> None:
    first = Pipeline(tmp_path, DOOR)
    assert first.steward.answer(AddSource(source(YARD))) == Done("yard")
    again = Pipeline(tmp_path, DOOR)
    assert again.names == ["door", "yard"]
    assert again.steward.answer(RemoveSource("yard")) == Done("yard")
    assert Pipeline(tmp_path, DOOR).names == ["door"]


def test_what_is_kept_is_its_owners_alone_and_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAM_PASSWORD", "canary-secret")
    pipeline = Pipeline(tmp_path, DOOR)
    pipeline.steward.answer(AddSource(source("yard=rtsp://viewer:${CAM_PASSWORD}@192.0.2.2/a")))
    text = pipeline.store.path.read_text()
    assert "${CAM_PASSWORD}" in text
    assert "canary-secret" not in text
    assert stat.S_IMODE(pipeline.store.path.stat().st_mode) == 0o600
    assert [path.name for path in pipeline.store.path.parent.iterdir()] == ["site.json"]


def test_a_variable_that_is_not_set_is_told_of_at_once(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, DOOR)
    with pytest.raises(AddressError, match="NOT_SET_AT_ALL, which is not set"):
        pipeline.steward.answer(AddSource(SourceConfig(url="rtsp://u:${NOT_SET_AT_ALL}@h/a", source_id="yard")))
    assert pipeline.names == ["door"]
    assert not pipeline.store.path.exists()


def test_a_source_without_a_name_gets_one(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, DOOR)
    camera = SourceConfig(url="rtsp://192.0.2.9/live")
    assert pipeline.steward.answer(AddSource(camera)) == Done("192.0.2.9-live")
    assert pipeline.steward.answer(AddSource(camera)) == Done("192.0.2.9-live-2")


def test_a_recording_that_was_added_is_analysed_once(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, DOOR)
    pipeline.steward.answer(AddSource(SourceConfig(url=str(tmp_path / "clip.mp4"), source_id="clip")))
    assert pipeline.names == ["door", "clip"]
    assert Pipeline(tmp_path, DOOR).names == ["door"]


def test_what_cannot_be_kept_is_not_added(tmp_path: Path) -> None:
    (tmp_path / "pipelines").write_text("in the way")
    pipeline = Pipeline(tmp_path / "other", DOOR)
    pipeline.steward._store = AddedSources("site", tmp_path)
    with pytest.raises(ConfigError, match="cannot be written"):
        pipeline.steward.answer(AddSource(source(YARD)))
    assert pipeline.names == ["door"]


@pytest.mark.parametrize("content", [b"", b"[1]", b'[{"url": ""}]', b'{"a": 1}', b'[{"url": "\xff"}]'])
def test_a_damaged_file_of_added_sources_is_named(tmp_path: Path, content: bytes) -> None:
    store = AddedSources("site", tmp_path)
    store.path.parent.mkdir()
    store.path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"pipelines/site\.json.*mend or remove it"):
        store.load()


def test_the_list_tells_state_and_address_and_no_secret(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, "door=rtsp://viewer:canary@192.0.2.1/a?token=canary")
    pipeline.steward.answer(AddSource(source(YARD)))
    assert pipeline.steward.answer(PauseSource("door")) == Done("door")
    reply = pipeline.steward.answer(ListSources())
    assert isinstance(reply, Sources)
    assert [(row.status.source_id, row.status.state, row.added) for row in reply.sources] == [
        ("door", "PAUSED", False),
        ("yard", "STREAMING", True),
    ]
    assert reply.sources[0].address == "rtsp://***@192.0.2.1/a?***"
    assert pipeline.steward.answer(ResumeSource("door")) == Done("door")
    assert pipeline.engine.told[-2:] == [("pause", "door"), ("resume", "door")]


def test_a_reload_touches_only_what_changed(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, DOOR, YARD, GATE)
    pipeline.steward.answer(AddSource(source("roof=rtsp://192.0.2.4/a")))
    pipeline.engine.told.clear()
    pipeline.file = config_of(
        DOOR, {"url": "rtsp://192.0.2.2/a", "source_id": "yard", "transport": "udp"}, "lane=rtsp://h/a"
    )
    assert pipeline.reload() == Reloaded(added=["lane"], removed=["gate"], changed=["yard"], untouched=2)
    assert pipeline.engine.told == [("remove", "gate"), ("remove", "yard"), ("add", "lane"), ("add", "yard")]
    pipeline.engine.told.clear()
    assert pipeline.reload() == Reloaded(added=[], removed=[], changed=[], untouched=4)
    assert pipeline.engine.told == []


def test_a_source_of_the_file_that_was_removed_comes_back_with_a_reload(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, DOOR, YARD)
    pipeline.steward.answer(RemoveSource("yard"))
    assert pipeline.names == ["door"]
    assert pipeline.reload().added == ["yard"]


def test_the_file_takes_over_a_source_that_was_added(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, DOOR)
    pipeline.steward.answer(AddSource(source(YARD)))
    pipeline.file = config_of(DOOR, "yard=rtsp://192.0.2.77/new")
    assert pipeline.reload().changed == ["yard"]
    assert AddedSources("site", tmp_path).load() == {}
    pipeline.file = config_of(DOOR)
    assert pipeline.reload().removed == ["yard"]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"detector": "other.onnx"}, r"detector\.model: cannot change while the pipeline runs"),
        ({"batch": {"max_batch": 4}, "publish": {"bind": None}}, r"batch\.max_batch, publish\.bind: cannot change"),
        ({"supervisor": {"stop_seconds": 9}}, r"supervisor\.stop_seconds: cannot change"),
    ],
)
def test_a_reload_refuses_other_settings_by_name_and_does_nothing(
    tmp_path: Path, changed: dict[str, Any], named: str
) -> None:
    pipeline = Pipeline(tmp_path, DOOR)
    pipeline.file = config_of(YARD, **changed)
    with pytest.raises(ConfigError, match=f"{named}.*nothing was changed"):
        pipeline.reload()
    assert pipeline.engine.told == []


def test_a_reload_that_would_not_fit_does_nothing(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, DOOR)
    pipeline.file = config_of(*(f"c{i}=rtsp://h/{i}" for i in range(65)))
    with pytest.raises(ConfigError, match="65 sources are more than the 64"):
        pipeline.reload()
    assert pipeline.engine.told == []


def test_without_a_file_there_is_nothing_to_reload(tmp_path: Path) -> None:
    steward = Steward(FakeEngine(DOOR), name="x", config=config_of(DOOR), added=AddedSources("x", tmp_path))
    with pytest.raises(UsageError, match="without a configuration file"):
        steward.answer(Reload())


def test_differences_name_the_innermost_setting() -> None:
    assert differences({"a": {"b": 1, "c": [1]}, "d": None}, {"a": {"b": 2, "c": [1]}, "d": {"e": 1}}) == ["a.b", "d"]


def test_two_runs_of_the_same_source_get_names_of_their_own(tmp_path: Path) -> None:
    config = config_of(f"{tmp_path.name}=rtsp://h/a", supervisor={"state_directory": str(tmp_path)})
    with attended(config, config_file=None, reread=None) as one, attended(config, config_file=None, reread=None) as two:
        assert (one.name, two.name) == (tmp_path.name, f"{tmp_path.name}-2")
    named = config_of(DOOR, supervisor={"state_directory": str(tmp_path), "name": f"{tmp_path.name}-x"})
    with (
        attended(named, config_file=None, reread=None),
        pytest.raises(UsageError, match=r"supervisor\.name: a pipeline called"),
        attended(named, config_file=None, reread=None),
    ):
        pass


def test_sources_added_before_are_part_of_the_next_run(tmp_path: Path) -> None:
    config = config_of(DOOR, supervisor={"state_directory": str(tmp_path), "name": tmp_path.name})
    AddedSources(tmp_path.name, tmp_path).save([source(YARD), source("door=rtsp://elsewhere/a")])
    with attended(config, config_file=None, reread=None) as attendance:
        assert attendance.restored == ("yard",)
        assert [each.url for each in attendance.config.source_configs] == ["rtsp://192.0.2.1/a", "rtsp://192.0.2.2/a"]
