"""As `tests.pipeline.fake_build`, with devices that can be lost: a file ``lost-DEVICE`` beside the epochs says so."""

from __future__ import annotations

from pathlib import Path

from pipeline.config import PipelineConfig
from pipeline.errors import ConfigError
from pipeline.graph import Graph
from tests.pipeline.fake_build import build_graph as fake_graph
from tests.pipeline.fake_build import build_publisher, build_sinks, open_source

__all__ = ["build_graph", "build_publisher", "build_sinks", "open_source"]


def build_graph(config: PipelineConfig) -> Graph:
    assert config.supervisor.state_directory is not None
    if (Path(config.supervisor.state_directory) / f"lost-{config.device}").exists():
        raise ConfigError(f"device: {config.device!r} is not there")
    return fake_graph(config)
