"""What the device path finds, through the tracker and over the wire: run on the CPU in the host path's place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline import build
from pipeline.messages import Batch, FrameResult
from pipeline.wire import decode_result, encode_result, encode_results
from stages.detect import zoo as detect_zoo
from stages.segment import zoo as segment_zoo
from tests.pipeline.test_torch_models import config_of
from tests.stages.cells import Brightness, Cells, Queries, clip, frame, network


def results_of(config: Any) -> list[FrameResult]:
    """Of frames of one source, four times over, some of which are skipped as planned."""
    found: list[FrameResult] = []
    with build.build_graph(config) as graph:
        assert any("pictures stay on the device" in note for note in graph.notes)
        for first in range(0, 16, 4):
            frames = tuple(frame(first + i, one.surface) for i, one in enumerate(clip()))
            results = graph.run(Batch(frames, analysed=(True, False, True, True)))
            assert encode_results(results) == [encode_result(result, "all") for result in results]
            found += results
    return found


@pytest.mark.parametrize("kind", ["detector", "panoptic"])
def test_results_are_tracked_and_coded_as_any(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = ("dark", "middling", "bright")
    model = network(Cells(), "corner", names=("dark", "bright"))
    beside: str | None = "torchvision:brightness"
    if kind == "panoptic":
        model, beside = network(Queries(), "corner", names=("person", "sky", "road"), gives="panoptic"), None
    semantic = network(Brightness(), "corner", names=levels, gives="semantic")
    monkeypatch.setattr(detect_zoo, "torch_detector", lambda *_: model)
    monkeypatch.setattr(segment_zoo, "torch_segmenter", lambda *_: semantic)
    monkeypatch.setattr(build, "_host_chain", build._device_chain)
    results = results_of(config_of({"model": "torchvision:cells", "score_threshold": 0.3}, beside))
    assert sum(len(result.tracks) for result in results) > 0
    for result in results:
        assert result.analysed == (result.panoptic is not None)
        again = decode_result(encode_result(result, "all"))
        np.testing.assert_array_equal(again.detections.boxes, result.detections.boxes)
        if result.panoptic is None:
            continue
        assert again.panoptic is not None
        np.testing.assert_array_equal(again.panoptic.ids, result.panoptic.ids)
        table = result.panoptic.segments
        tracked = table.detection_index >= 0
        np.testing.assert_array_equal(
            again.panoptic.segments.track_ids[tracked], result.track_ids[table.detection_index[tracked]]
        )
    shown = [result.panoptic.segments for result in results if result.panoptic is not None]
    assert any((table.detection_index >= 0).any() for table in shown)
