"""A root of files holds for every source, wherever it comes from: the configuration, the command, a state file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.build import Pipeline
from pipeline.config import PipelineConfig, SourceConfig, check, parse
from pipeline.control.added import AddedSources
from pipeline.control.attendance import attended
from pipeline.control.protocol import AddSource, Reload, RemoveSource
from pipeline.control.steward import Steward, with_added
from pipeline.engines.local import LocalEngine
from pipeline.errors import AddressError, ConfigError
from tests.pipeline.control.fakes import FakeEngine

CAMERA = "door=rtsp://192.0.2.1/a"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "clip.mp4").write_bytes(b"x")
    (tmp_path / "outside.mp4").write_bytes(b"x")
    (root / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    return root


def config_of(root: Path, *sources: Any, **settings: Any) -> PipelineConfig:
    return parse({"sources": list(sources), "files_root": str(root), **settings})


@pytest.mark.parametrize("name", ["../outside.mp4", "link.mp4", "/etc/hostname", "../nothing-yet.mp4"])
def test_a_configuration_with_a_file_outside_is_refused(root: Path, name: str) -> None:
    with pytest.raises(AddressError, match=r"cam: .* lies outside files_root"):
        check(config_of(root, f"cam={root / name}"))
    with pytest.raises(AddressError, match=r"cam: .* lies outside files_root"):
        Pipeline(sources=[f"cam={root / name}"], files_root=str(root))


def test_a_variable_does_not_hide_where_a_path_leads(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIP", str(root.parent / "outside.mp4"))
    with pytest.raises(AddressError, match="lies outside"):
        check(config_of(root, "cam=${CLIP}"))


def test_cameras_and_files_within_are_taken(root: Path) -> None:
    assert len(check(config_of(root, CAMERA, str(root / "clip.mp4"), str(root / "not-yet.mp4"))).sources) == 3


def test_the_root_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"files_root: .*nowhere is no folder"):
        check(config_of(tmp_path / "nowhere", CAMERA))


def test_the_root_is_settled_once(root: Path) -> None:
    (root.parent / "entry").symlink_to(root)
    config = check(config_of(root.parent / "entry", CAMERA))
    assert config.files_root == str(root)
    assert check(config) == config


@pytest.mark.parametrize("name", ["../outside.mp4", "link.mp4"])
def test_a_source_added_to_a_running_pipeline(root: Path, tmp_path: Path, name: str) -> None:
    config = check(config_of(root, CAMERA, supervisor={"state_directory": str(tmp_path)}))
    engine = LocalEngine(config)
    try:
        with pytest.raises(AddressError, match=r"more: .* lies outside files_root"):
            engine.add_source(f"more={root / name}")
        with pytest.raises(AddressError, match=r"more: .* lies outside files_root"):
            engine.add_source(SourceConfig(url=str(root / name), source_id="more"))
    finally:
        engine.close()


class Running:
    """A steward whose configuration file was edited."""

    def __init__(self, root: Path, directory: Path, edited: PipelineConfig | None = None) -> None:
        self.config = check(config_of(root, CAMERA))
        self.store = AddedSources("site", directory)
        self.engine = FakeEngine(*with_added(self.config, self.store.load()).source_configs)
        self.steward = Steward(
            self.engine, name="site", config=self.config, added=self.store, reread=lambda: edited or self.config
        )


def test_an_edited_file_with_a_file_outside_changes_nothing(root: Path, tmp_path: Path) -> None:
    running = Running(root, tmp_path, edited=config_of(root, CAMERA, f"cam={root / 'link.mp4'}"))
    with pytest.raises(AddressError, match=r"cam: .* lies outside files_root"):
        running.steward.answer(Reload())
    assert running.engine.told == []


def test_an_edited_file_may_not_take_the_root_away(root: Path, tmp_path: Path) -> None:
    running = Running(root, tmp_path, edited=parse({"sources": [CAMERA]}))
    with pytest.raises(ConfigError, match="files_root: cannot change while the pipeline runs"):
        running.steward.answer(Reload())


def test_a_source_kept_from_an_earlier_run_is_left_out_and_can_be_forgotten(root: Path, tmp_path: Path) -> None:
    store = AddedSources("site", tmp_path)
    store.save(
        [
            SourceConfig(url=str(tmp_path / "outside.mp4"), source_id="gate"),
            SourceConfig(url="rtsp://192.0.2.3/a", source_id="yard"),
        ]
    )
    config = check(config_of(root, CAMERA, supervisor={"state_directory": str(tmp_path), "name": "site"}))
    with attended(config, config_file=None, reread=None) as attendance:
        assert [source.source_id for source in attendance.config.source_configs] == ["door", "yard"]
        assert attendance.restored == ("yard",)
        assert "gate: " in str(attendance.left_out["gate"])
    running = Running(root, tmp_path)
    running.steward.answer(Reload())  # goes through, without it
    assert [source.source_id for source in running.engine.sources] == ["door", "yard"]
    running.steward.answer(RemoveSource("gate"))
    assert list(store.load()) == ["yard"]


def test_a_source_that_the_engine_refuses_is_not_kept(root: Path, tmp_path: Path) -> None:
    config = check(config_of(root, CAMERA, supervisor={"state_directory": str(tmp_path)}))
    engine, store = LocalEngine(config), AddedSources("site", tmp_path)
    try:
        steward = Steward(engine, name="site", config=config, added=store)
        with pytest.raises(AddressError, match="lies outside"):
            steward.answer(AddSource(SourceConfig(url=str(root / "link.mp4"))))
    finally:
        engine.close()
    assert store.load() == {}
