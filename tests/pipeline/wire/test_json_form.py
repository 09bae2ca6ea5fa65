"""The JSON form: readable, byte for byte repeatable, and read back to what it says."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import WireError
from pipeline.messages import FrameResult, Gap, Latency
from pipeline.wire import (
    Limits,
    decode_result,
    encode_result,
    fill,
    gap_from_json,
    item_from_json,
    item_to_json,
    result_from_json,
    result_to_json,
    status_from_json,
)
from tests.pipeline.wire.samples import empty_result, make_result, make_status, same
from tests.pipeline.wire.test_hostile_bytes import paths_of, plain


def line(result: FrameResult, *, timings: bool = False) -> str:
    return json.dumps(result_to_json(result, timings=timings), allow_nan=False)


def test_a_detection_reads_as_a_person_would_write_it() -> None:
    result = make_result(objects=2)
    boxes = np.array([[1.234567, 2, 3.004, 4.5], [-0.001, 0, 5, 6]], dtype=np.float32)
    detections = replace(result.detections, boxes=boxes, scores=np.array([0.87654321, 1], np.float32))
    shown = result_to_json(replace(result, detections=detections))["detections"]
    label = int(detections.labels[0])
    assert shown[0] == {
        "box": [1.23, 2.0, 3.0, 4.5],
        "label": label,
        "class_name": result.classes.names[label],
        "score": 0.8765,
        "raw_score": round(float(detections.raw_scores[0]), 4),
        "track_id": 2,
    }
    assert str(shown[1]["box"][0]) == "0.0"
    assert shown[1]["track_id"] is None


@pytest.mark.parametrize("result", [make_result(), make_result(objects=0, segments=1), empty_result()])
def test_what_is_read_back_writes_the_same_line(result: FrameResult) -> None:
    back = result_from_json(json.loads(line(result, timings=True)))
    assert line(back, timings=True) == line(result, timings=True)
    assert same(back.panoptic and back.panoptic.ids, result.panoptic and result.panoptic.ids)
    assert same(back.classes, result.classes)
    assert same(back.timings, result.timings)
    assert np.allclose(back.detections.boxes, result.detections.boxes, atol=0.005)
    assert np.allclose(back.detections.scores, result.detections.scores, atol=0.00005)
    assert back.tracks.ids.tolist() == result.tracks.ids.tolist()


def test_gap_before_is_part_of_the_line() -> None:
    assert result_from_json(result_to_json(replace(make_result(), gap_before=3))).gap_before == 3


def test_timings_stand_only_where_asked_for() -> None:
    fast = make_result()
    assert fast.timings is not None
    slow = replace(fast, timings=replace(fast.timings, wait_ms=99.0))
    assert line(fast) == line(slow)
    assert "timings" not in result_to_json(fast)
    assert line(fast, timings=True) != line(slow, timings=True)


def test_what_is_not_a_number_is_null_and_reads_as_one() -> None:
    result = make_result(objects=1)
    boxes = np.array([[np.nan, np.inf, -np.inf, 1]], dtype=np.float32)
    result = replace(result, detections=replace(result.detections, boxes=boxes))
    shown = json.loads(line(result))
    assert shown["detections"][0]["box"] == [None, None, None, 1.0]
    assert np.isnan(result_from_json(shown).detections.boxes[0, :3]).all()


def test_gaps_and_statuses() -> None:
    status = replace(make_status(), latency=Latency(1.0, 2.0, 3.0))
    for item in (Gap("door", 2, 5, 9, "backlog"), status):
        assert item_from_json(json.loads(json.dumps(item_to_json(item)))) == item


def test_polygons_are_rings_in_the_rows_of_their_segments() -> None:
    result = decode_result(encode_result(make_result(), "masks.polygons"))
    shown = result_to_json(result, timings=True)
    assert shown["panoptic"] is None
    assert result.polygons is not None
    rows = {row["id"]: row["rings"] for row in shown["polygons"]["segments"]}
    for segment_id, rings in rows.items():
        for ring, points in zip(rings, result.polygons.of(segment_id), strict=True):
            assert np.allclose(ring, points, atol=0.006)
    read = result_from_json(json.loads(json.dumps(shown)))
    assert read.polygons is not None
    assert read.polygons.counts.sum() == result.polygons.counts.sum()
    assert np.array_equal(fill(read.polygons).ids, fill(result.polygons).ids)
    shown["polygons"]["segments"][0]["rings"] = [[[0, 0], [1, 1]]]
    with pytest.raises(WireError, match="fewer than 3 points"):
        result_from_json(shown)
    assert "polygons" not in result_to_json(make_result())


def test_the_type_decides_how_an_object_is_read() -> None:
    assert same(item_from_json(item_to_json(empty_result())), empty_result())
    for other in (None, [], {}, {"type": "sound"}, {"type": ["result"]}):
        with pytest.raises(WireError, match="type is result, gap, status, frame or event"):
            item_from_json(other)


@pytest.mark.parametrize("read", [result_from_json, gap_from_json, status_from_json])
def test_what_is_no_object_is_refused(read: object) -> None:
    for other in (None, 5, "x", [], {}, {"schema": "1.0"}):
        with pytest.raises(WireError, match="not a "):
            read(other)  # type: ignore[operator]


def test_another_major_version_is_refused_by_name() -> None:
    for shown in (result_to_json(make_result()), item_to_json(Gap("door", 1, 1, 1, "late"))):
        with pytest.raises(WireError, match=r"schema version '2\.0'"):
            item_from_json({**shown, "schema": "2.0"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"width": 0}, "width"),
        ({"width": 10**6, "height": 10**6}, "picture: 1000000x1000000"),
        ({"detections": [{"box": [0, 0, 1, 1], "label": 9, "score": 1, "raw_score": 1}]}, "detections.label"),
        ({"classes": {"things": ["x"] * 10_001}}, "classes: 10001"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, object], said: str) -> None:
    with pytest.raises(WireError, match=said):
        result_from_json({**result_to_json(empty_result()), **change})


def test_limits_hold_for_lines_too() -> None:
    shown = result_to_json(make_result())
    with pytest.raises(WireError, match="detections: 6 declared"):
        result_from_json(shown, limits=Limits(detections=5))
    with pytest.raises(WireError, match="segments: 8 declared"):
        result_from_json(shown, limits=Limits(segments=7))
    shown["panoptic"]["id_map"] = "no base64!"
    with pytest.raises(WireError, match="not base64"):
        result_from_json(shown)


@settings(max_examples=500, deadline=None)
@given(data=st.data())
def test_any_value_in_any_field_is_taken_or_refused(data: st.DataObject) -> None:
    fields = json.loads(line(make_result(objects=2, height=12, width=20, segments=4), timings=True))
    path = data.draw(st.sampled_from(paths_of(fields)))
    part = fields
    for step in path[:-1]:
        part = part[step]
    value = data.draw(plain)
    part[path[-1]] = value
    try:
        item_from_json(fields)
    except WireError:
        return
