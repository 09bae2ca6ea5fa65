"""Results in other people's schemas, worked out by hand."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.messages import FrameResult, TrackState, Transform
from stages.publish.export import ExportSink
from stages.publish.formats import FORMATS, to_deepstream, to_roboflow, to_savant
from tests.pipeline.wire.samples import empty_result
from tests.stages.publish.scenes import CAR, PERSON, ROAD, panoptic, result, tracked


def scene() -> FrameResult:
    """A person that is track 4, a car without a track, and a track that is lost."""
    detections, tracks = tracked(
        [[100.5, 20, 160, 90.25], [10, 20, 30, 60], [0, 0, 8, 8]],
        ids=[4, 5, 3],
        labels=[PERSON, CAR, CAR],
        states=[TrackState.CONFIRMED, TrackState.CONFIRMED, TrackState.LOST],
    )
    return result(
        detections=detections,
        tracks=tracks[np.array([0, 2])],
        pts=7,
        time_base=Fraction(1, 90_000),
        capture_time_ns=1_700_000_000_123_999_999,
    )


def test_savant() -> None:
    box = {"xc": 130.25, "yc": 55.12, "width": 59.5, "height": 70.25, "angle": None}
    common = {"parent_id": None, "namespace": "hand", "draw_label": None, "confidence": 0.9, "attributes": []}
    told = to_savant(scene())
    uuid = told.pop("uuid")
    assert told == {
        "type": "VideoFrame",
        "source_id": "door",
        "creation_timestamp_ns": 1_700_000_000_123_999_999,
        "framerate": "0/1",
        "width": 320,
        "height": 180,
        "codec": None,
        "keyframe": None,
        "time_base": [1, 90_000],
        "pts": 7,
        "dts": None,
        "duration": None,
        "attributes": [],
        "objects": [
            common | {"id": 0, "label": "person", "detection_box": box, "track_id": 4, "track_box": box},
            common
            | {
                "id": 1,
                "label": "car",
                "detection_box": {"xc": 20.0, "yc": 40.0, "width": 20.0, "height": 40.0, "angle": None},
                "track_id": None,
                "track_box": None,
            },
        ],
    }
    assert uuid == "289dbb41-cffe-5619-8fa7-bb07c7182e79"  # made from door/1/7: the same for ever


def test_deepstream() -> None:
    assert to_deepstream(scene()) == {
        "version": "4.0",
        "id": "7",
        "@timestamp": "2023-11-14T22:13:20.123Z",
        "sensorId": "door",
        "objects": [
            "4|100.5|20|160|90.25|person|#|||||||0.9",
            "18446744073709551615|10|20|30|60|car|#|||||||0.9",
        ],
    }


def test_deepstream_s_bars_part_fields_whatever_a_class_is_called() -> None:
    named = scene()
    odd = result(
        detections=named.detections[np.array([0])],
        tracks=named.tracks[np.array([0])],
        classes=type(named.classes)(things=("per|son",), stuff=()),
    )
    (line,) = to_deepstream(odd)["objects"]
    assert line.split("|") == ["4", "100.5", "20", "160", "90.25", "per_son", "#", "", "", "", "", "", "", "0.9"]


def test_roboflow_with_masks_has_the_outline_of_the_largest_part() -> None:
    detections, tracks = tracked([[100, 40, 200, 120], [0, 0, 30, 30]], ids=[4, 5])
    ids = np.zeros((18, 32), dtype=np.uint16)
    ids[0:3] = 1  # ground, which is no prediction
    ids[4:12, 10:20] = 2
    ids[14:16, 10:13] = 2  # a foot that something hides the leg of
    shown = panoptic(ids, [PERSON, PERSON], stuff=[ROAD], transform=Transform(10.0, 10.0, 0.0, 0.0))
    seen, unseen = to_roboflow(result(detections=detections, tracks=tracks, panoptic=shown))["predictions"]
    corners = {(100.0, 40.0), (200.0, 40.0), (200.0, 120.0), (100.0, 120.0)}
    assert len(seen["points"]) == 4
    assert {(point["x"], point["y"]) for point in seen["points"]} == corners
    assert unseen["points"] == []


def test_roboflow() -> None:
    told = to_roboflow(scene())
    ids = [prediction.pop("detection_id") for prediction in told["predictions"]]
    assert told == {
        "inference_id": "door/1/7",
        "frame_id": 7,
        "image": {"width": 320, "height": 180},
        "predictions": [
            {
                "x": 130.25,
                "y": 55.12,
                "width": 59.5,
                "height": 70.25,
                "confidence": 0.9,
                "class": "person",
                "class_id": 0,
                "tracker_id": 4,
            },
            {"x": 20.0, "y": 40.0, "width": 20.0, "height": 40.0, "confidence": 0.9, "class": "car", "class_id": 1},
        ],
    }
    assert len(set(ids)) == 2
    assert ids == [prediction["detection_id"] for prediction in to_roboflow(scene())["predictions"]]


@pytest.mark.parametrize(
    ("name", "objects"), [("savant", "objects"), ("deepstream", "objects"), ("roboflow", "predictions")]
)
def test_a_frame_with_nothing_in_it_is_a_message_all_the_same(name: str, objects: str) -> None:
    (message,) = FORMATS[name]().messages(empty_result())
    assert message[objects] == []


def test_what_is_no_number_is_null_in_json(tmp_path: Path) -> None:
    detections, tracks = tracked([[float("nan"), 0, 10, 10]], ids=[1])
    bad = result(detections=detections, tracks=tracks)
    for name in ("savant", "roboflow"):
        sink = ExportSink(name, tmp_path / name)
        sink.write(bad)
        sink.close()
        json.loads((tmp_path / name).read_text(), parse_constant=pytest.fail)
