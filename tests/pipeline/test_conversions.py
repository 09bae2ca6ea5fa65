"""Results as other people's objects, and of some classes only."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as pycocotools

from pipeline.client.labels import of_labels
from pipeline.errors import UsageError
from pipeline.messages import FrameResult, TrackState
from pipeline.wire import decode_result, encode_result, fill, result_from_json
from tests.pipeline.wire.samples import empty_result, make_result, same
from tests.require import skip_without

RESULT = make_result()


def kind(name: str) -> FrameResult:
    return decode_result(encode_result(RESULT, name))  # type: ignore[arg-type]


def test_a_dictionary_is_the_json_form() -> None:
    shown = json.loads(json.dumps(RESULT.to_dict()))
    read = result_from_json(shown)
    assert read.identity == RESULT.identity
    assert read.panoptic is not None
    assert RESULT.panoptic is not None
    assert same(read.panoptic.ids, RESULT.panoptic.ids)
    assert shown["timings"]["batch_size"] == 2


def test_a_coco_data_set_has_every_detection_and_segment_once() -> None:
    data = json.loads(json.dumps(RESULT.to_coco(image_id=7)))
    panoptic = RESULT.panoptic
    assert panoptic is not None
    (image,) = data["images"]
    assert (image["id"], image["width"], image["height"]) == (7, 1920, 1080)
    assert [category["name"] for category in data["categories"]] == list(RESULT.classes.names)
    rows, whole = data["annotations"], panoptic.at_size(1920, 1080)
    alone = [i for i, index in enumerate(panoptic.segments.detection_index.tolist()) if index < 0]
    assert len(rows) == len(RESULT.detections) + len(alone)
    owner = {
        index: int(id_)
        for index, id_ in zip(panoptic.segments.detection_index.tolist(), panoptic.segments.ids, strict=True)
    }
    for number, row in enumerate(rows[: len(RESULT.detections)]):
        box = RESULT.detections.boxes[number].astype(float)
        assert row["bbox"] == pytest.approx([box[0], box[1], box[2] - box[0], box[3] - box[1]])
        assert row["category_id"] == RESULT.detections.labels[number] + 1
        assert (row["score"], row["raw_score"]) == (
            RESULT.detections.scores[number],
            RESULT.detections.raw_scores[number],
        )
        assert ("segmentation" in row) == (number in owner)
        if number in owner:
            mask = pycocotools.decode(row["segmentation"])
            assert np.array_equal(mask, whole == owner[number])
            assert row["area"] == mask.sum()
    assert not any("raw_score" in row for row in rows[len(RESULT.detections) :])
    assert {row["category_id"] - 1 for row in rows[len(RESULT.detections) :]} == {
        int(panoptic.segments.labels[i]) for i in alone
    }


def test_coco_of_other_kinds_and_of_nothing() -> None:
    assert len(kind("boxes").to_coco()["annotations"]) == len(RESULT.detections)
    assert RESULT.panoptic is not None
    for form in ("masks", "masks.polygons", "masks.half"):
        rows = kind(form).to_coco()["annotations"]
        assert len(rows) == len(RESULT.panoptic.segments)
        assert all("segmentation" in row for row in rows)
    assert empty_result().to_coco()["annotations"] == []


def test_supervision() -> None:
    try:
        import supervision  # noqa: F401
    except ImportError:
        skip_without("supervision", lacking="the package supervision")
    panoptic = RESULT.panoptic
    assert panoptic is not None
    whole = RESULT.to_supervision()
    assert np.array_equal(whole.xyxy, RESULT.detections.boxes)
    assert np.array_equal(whole.tracker_id, RESULT.track_ids)
    assert whole.data["class_name"].tolist() == [RESULT.class_name(label) for label in RESULT.detections.labels]
    assert np.array_equal(whole.confidence, RESULT.detections.scores)
    assert np.array_equal(whole.data["raw_score"], RESULT.detections.raw_scores)
    assert whole.mask.shape == (len(RESULT.detections), 1080, 1920)
    things = panoptic.segments[panoptic.segments.detection_index >= 0]
    for row, id_ in zip(things.detection_index.tolist(), things.ids.tolist(), strict=True):
        assert np.array_equal(whole.mask[row], panoptic.at_size(1920, 1080) == id_)
    boxes = kind("boxes").to_supervision()
    assert boxes.mask is None
    assert boxes.tracker_id is None
    masks = kind("masks").to_supervision()
    assert len(masks) == panoptic.segments.is_thing.sum()
    assert len(empty_result().to_supervision()) == 0


def test_drawing_gives_a_new_picture() -> None:
    result = make_result(height=27, width=48)
    image = np.zeros((1080, 1920, 3), np.uint8)
    drawn = result.draw(image)
    assert drawn.shape == image.shape
    assert drawn.any()
    assert not image.any()
    with pytest.raises(ValueError, match="1920x1080 is needed"):
        result.draw(image[:10])


def test_results_before_leave_trails_of_their_source() -> None:
    def at(second: int, **changes: Any) -> FrameResult:
        confirmed = replace(RESULT.tracks, states=np.full(len(RESULT.tracks), TrackState.CONFIRMED, np.uint8))
        moved = replace(confirmed, boxes=RESULT.tracks.boxes + np.float32([40 * second, 0, 40 * second, 0]))
        return replace(RESULT, panoptic=None, pts=90_000 * second, seq=second, tracks=moved, **changes)

    image = np.full((1080, 1920, 3), 90, np.uint8)
    alone = at(2).draw(image)
    assert np.array_equal(at(2).draw(image, before=[at(0, source_id="gate"), at(1, source_id="gate")]), alone)
    assert not np.array_equal(at(2).draw(image, before=[at(0), at(1)]), alone)


def test_polygons_are_drawn_as_the_map_they_enclose() -> None:
    polygons = kind("masks.polygons")
    assert polygons.polygons is not None
    image = np.zeros((1080, 1920, 3), np.uint8)
    filled = replace(polygons, panoptic=fill(polygons.polygons), polygons=None)
    assert np.array_equal(polygons.draw(image), filled.draw(image))
    assert not np.array_equal(polygons.draw(image), replace(filled, panoptic=None).draw(image))


def test_only_some_classes_stay_and_rows_still_point_at_rows() -> None:
    result = replace(RESULT)
    panoptic = result.panoptic
    assert panoptic is not None
    names = result.classes.names
    kept = of_labels(result, ["car", "road"])
    assert {names[label] for label in kept.detections.labels} <= {"car"}
    wanted = [i for i, label in enumerate(result.detections.labels) if names[label] == "car"]
    assert np.array_equal(kept.detections.boxes, result.detections.boxes[wanted])
    assert np.array_equal(kept.track_ids, result.track_ids[wanted])
    for index, track in zip(kept.tracks.detection_index.tolist(), kept.tracks.ids.tolist(), strict=True):
        old = int(result.tracks.detection_index[result.tracks.ids.tolist().index(track)])
        expected = wanted.index(old) if old in wanted else -1
        assert index == expected
    assert kept.panoptic is not None
    ids = kept.panoptic.segments.ids.tolist()
    assert {names[label] for label in kept.panoptic.segments.labels} <= {"car", "road"}
    assert np.array_equal(kept.panoptic.ids, np.where(np.isin(panoptic.ids, ids), panoptic.ids, 0))
    polygons = of_labels(kind("masks.polygons"), ["car", "road"]).polygons
    assert polygons is not None
    assert set(polygons.ids.tolist()) == set(ids)
    decode_result(encode_result(kept))  # still whole


def test_a_class_the_model_lacks_is_refused() -> None:
    with pytest.raises(UsageError, match="label 'dog' is unknown to the model; person, bicycle, car, road, sky"):
        of_labels(RESULT, ["car", "dog"])
