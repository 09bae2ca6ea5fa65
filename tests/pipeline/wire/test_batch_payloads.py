"""A batch coded at once against its results coded one by one: the same bytes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from pipeline.messages import (
    Batch,
    BatchDetections,
    BatchResults,
    BatchTracks,
    Classes,
    Detections,
    Frame,
    FrameResult,
    ModelInfo,
    PanopticMap,
    Surface,
    Timings,
    Tracks,
    results_of,
)
from pipeline.wire import encode_result, encode_results
from tests.pipeline.wire.samples import CLASSES, make_result, same

SURFACE = Surface("rgb24", (np.zeros((4, 6, 3), np.uint8),))
MODEL = ModelInfo("m", "1")


def batch_of(samples: list[FrameResult], **changes: object) -> Batch:
    frames = tuple(
        Frame(f"s-{i}", 1, i, i or None, Fraction(1, 25), i, "host", 0, SURFACE, discontinuity=bool(i % 2))
        for i in range(len(samples))
    )
    values: dict[str, object] = {
        "detections": tuple(sample.detections for sample in samples),
        "tracks": tuple(sample.tracks for sample in samples),
        "panoptic": tuple(sample.panoptic for sample in samples),
    }
    return Batch(frames, **(values | changes))  # type: ignore[arg-type]


def samples() -> list[FrameResult]:
    return [make_result(objects=objects, seed=objects, segments=9) for objects in (3, 0, 1, 12)]


def timings(count: int) -> list[Timings]:
    return [Timings(count, 0.5 * i, {"detect": 1, "track": 0.25}) for i in range(count)]


@pytest.mark.parametrize("changes", [{}, {"panoptic": None}, {"tracks": None}, {"detections": None, "tracks": None}])
def test_a_batch_is_coded_like_its_results(changes: dict[str, object]) -> None:
    if "detections" in changes:
        changes = {**changes, "panoptic": None}
    batch = batch_of(samples(), **changes)
    for given in (None, timings(len(batch))):
        results = results_of(batch, classes=CLASSES, model=MODEL, timings=given)
        assert encode_results(results) == [encode_result(result, "all") for result in results]
        assert encode_results(list(results)) == encode_results(results)


def test_frames_that_were_skipped_have_no_map() -> None:
    batch = batch_of(samples())
    maps = (*(batch.panoptic or ())[:3], None)
    batch = batch.with_(panoptic=maps, analysed=(True, True, True, False))
    results = results_of(batch, classes=CLASSES, model=MODEL)
    assert encode_results(results) == [encode_result(result, "all") for result in results]
    assert [result.analysed for result in results] == [True, True, True, False]
    assert results[-1].panoptic is None


def test_results_are_those_of_their_frames() -> None:
    given = samples()
    results = results_of(batch_of(given), classes=CLASSES, model=MODEL)
    assert isinstance(results, BatchResults)
    assert len(results) == 4
    for result, sample in zip(results, given, strict=True):
        assert same(result.detections, sample.detections)
        assert same(result.tracks, sample.tracks)
        assert result.track_ids.tolist() == sample.tracks.of_detections(len(sample.detections)).tolist()
        assert isinstance(result.panoptic, PanopticMap)
        index = result.panoptic.segments.detection_index
        expected = [int(result.track_ids[i]) if i >= 0 else -1 for i in index.tolist()]
        assert result.panoptic.segments.track_ids.tolist() == expected
    assert results[-1].identity == results[3].identity == ("s-3", 1, 3)
    assert [result.seq for result in results[1:3]] == [1, 2]
    with pytest.raises(IndexError):
        results[4]


def test_no_frames_no_results() -> None:
    results = results_of(Batch(()), classes=Classes(()), model=MODEL, timings=[])
    assert encode_results(results) == []


def test_a_block_has_its_frames() -> None:
    given = [sample.detections for sample in samples()]
    block = BatchDetections.of(given)
    assert BatchDetections.of(block) is block
    assert all(same(ours, theirs) for ours, theirs in zip(block, given, strict=True))
    assert same(block[-1], given[3])
    assert len(block[1:3]) == 2
    with pytest.raises(IndexError, match="frame 4 of a batch of 4"):
        block[4]
    tracks = [sample.tracks for sample in samples()]
    assert all(same(a, b) for a, b in zip(BatchTracks.of(tracks, frames=4), tracks, strict=True))
    assert [len(one) for one in BatchTracks.of((), frames=3)] == [0, 0, 0]
    assert BatchTracks.of((), frames=3)[0].ids.dtype == Tracks.empty().ids.dtype


def test_coefficients_stay_where_every_frame_with_boxes_has_them() -> None:
    boxes = np.array([[0, 0, 1, 1]], np.float32)
    one, label = np.ones(1, np.float32), np.zeros(1, np.int32)
    masked = Detections.of(boxes, one, label, coefficients=np.ones((1, 3), np.float32))
    kept = BatchDetections.of((masked, Detections.empty())).coefficients
    assert kept is not None
    assert kept.shape == (1, 3)
    assert BatchDetections.of((masked, Detections.of(boxes, one, label))).coefficients is None
