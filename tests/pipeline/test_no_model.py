"""`detector: none`: frames are decoded and accounted for, and nothing is looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import Pipeline
from pipeline.build import build_graph
from pipeline.cli.display import sources_and_network
from pipeline.config import DetectorConfig, PipelineConfig, SegmenterConfig
from pipeline.errors import ConfigError
from tests.cameras import numbered_frames
from tests.cameras.files import write_video


def test_every_frame_has_a_result_and_nothing_in_it(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", numbered_frames(12, 160, 120))
    results = list(Pipeline(sources=[str(path)], detector="none").run())
    assert [result.seq for result in results] == list(range(12))
    assert {(len(result.detections), len(result.tracks), result.panoptic) for result in results} == {(0, 0, None)}
    assert {(result.model.name, result.classes.names) for result in results} == {("none", ())}


def test_a_segmenter_without_a_detector_is_refused() -> None:
    config = PipelineConfig(detector=DetectorConfig(model="none"), segmenter=SegmenterConfig(model="x.onnx"))
    with pytest.raises(ConfigError, match="segmenter: it needs a detector beside it"):
        build_graph(config.resolved())


def test_it_is_said_in_words() -> None:
    assert sources_and_network(PipelineConfig(sources=["door=a.mp4"], detector="none").resolved()) == (
        "door with no model"
    )
