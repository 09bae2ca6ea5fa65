"""Clips in memory: what a model finds in every frame, followed by the tracker and held against the truth."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from pipeline.messages import Batch, Classes, Detections, PanopticMap, Tracks, TrackState
from stages.models.evaluation.clips import ClipFrame
from stages.models.evaluation.figures import Figures, ModelFigures
from stages.models.evaluation.measure_clips import measure_clips, with_tracks
from stages.models.evaluation.subject import Subject, frame_of
from stages.models.evaluation.table import table
from stages.models.evaluation.truth import Ignoring
from stages.models.labelled.sample import FIRST_OBJECT, Sample
from stages.models.labelled.taxonomy import Taxonomy
from tests.stages.publish.scenes import panoptic

CLASSES = Classes(("person", "car"), ("road", "sky"))
PERSON, CAR, ROAD, SKY = range(4)
TAXONOMY = Taxonomy(classes=CLASSES)
WIDTH, HEIGHT = 64, 32


def map_at(frame: int) -> PanopticMap:
    """Sky above road, and from frame 1 on a car that passes on it."""
    ids = np.full((HEIGHT, WIDTH), 2)
    ids[16:] = 1
    left, top, right, bottom = box_at(frame)
    ids[top:bottom, left:right] = 3
    return panoptic(ids, [CAR] * (frame > 0), stuff=[ROAD, SKY])


def box_at(frame: int) -> tuple[int, int, int, int]:
    left = 4 * frame
    return (left, 20, left + 12 * (frame > 0), 28)


class Painted:
    """A stage that knows where the car of each frame is."""

    name = "painted"
    adds = frozenset({"detections", "panoptic"})

    def __call__(self, batch: Batch) -> Batch:
        seq = batch.frames[0].seq
        box = np.array([box_at(seq)], np.float32)
        found = Detections.of(box, np.array([0.9], np.float32), np.array([CAR], np.int32))
        return batch.with_(detections=(found[np.array([seq > 0])],), panoptic=(map_at(seq),))


class Knowing(Subject):
    """A model of that stage."""

    def __init__(self) -> None:
        self.stages, self.classes, self.has_masks = [Painted()], CLASSES, True


class Passing:
    """A clip of a car that passes."""

    name, seconds_between = "passing", 0.1
    ignoring: Ignoring = "coco"

    def __len__(self) -> int:
        return 7

    def __iter__(self) -> Iterator[ClipFrame]:
        for number in range(len(self)):
            there = np.array([number > 0])
            regions = np.array([0, 1, 2, FIRST_OBJECT], np.uint8)[map_at(number).ids]
            box = np.array([box_at(number)], np.float32)[there]
            picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            sample = Sample(picture, regions, box, np.array([CAR])[there], np.ones(1, np.float32)[there])
            yield ClipFrame(sample, np.array([7])[there])


def test_a_clip_found_without_fault_costs_only_what_is_not_followed_yet() -> None:
    pytest.importorskip("trackeval", reason="needs trackeval, of the eval extra")
    model = ModelFigures(model="knowing", version="1", classes=CLASSES.names)
    figures = Figures(
        data=[], pictures=0, things=CLASSES.things, stuff=CLASSES.stuff, compared_things=(), compared_stuff=(),
        ignored=[], settings={}, models=[model],
    )  # fmt: skip
    told: list[int] = []
    measure_clips(
        [Knowing()],
        [Passing()],
        TAXONOMY,
        figures,
        judged=frozenset(range(4)),
        progress=lambda _, n, of: told.append(n),
    )
    assert told == [1, 2, 3, 4, 5, 6, 7]
    assert model.clips is not None
    # The track is confirmed at the second frame that shows the car, which is there in six. Windows of 5: its tube has 3
    # of 4 frames, 4 of 5, all of 5; that of the frame before it is followed is false in two of them.
    of_cars = (3 / 4 + 4 / 5 + 1) / (3 + 2 / 2)
    expected = {"vpq_things": (1 + of_cars) / 2, "vpq_stuff": 1.0, "vpq1": 1.0, "vpq5": (of_cars + 2) / 3}
    expected |= {"vpq": (expected["vpq1"] + expected["vpq5"]) / 2, "aq": (5 / 6) * (5 / 6), "sq_clips": 1.0}
    assert {name: model.clips[name] for name in expected} == pytest.approx(expected)
    assert model.clips["vpq10"] is None
    assert model.clips_by_class["car"]["vpq"] == pytest.approx(expected["vpq_things"])
    assert model.clips_by_class["road"] == {"vpq": pytest.approx(1.0)}
    assert model.clips_by_class["person"]["vpq"] is None
    assert "VPQ things" in table(figures)
    assert "VPQ 10" not in table(figures)


def test_pixels_carry_the_track_of_their_thing_and_a_number_below_none_where_nothing_follows_it() -> None:
    ids = np.array([[1, 1, 2, 3, 4, 0]])
    shown = panoptic(ids, [PERSON, CAR, CAR], stuff=[ROAD])
    boxes, labels = np.zeros((3, 4), np.float32), np.array([PERSON, CAR, CAR], np.int32)
    states = np.array([TrackState.CONFIRMED, TrackState.TENTATIVE, TrackState.LOST], np.uint8)
    tracks = Tracks(np.array([5, 6, 9]), boxes, labels, np.ones(3, np.float32), states, np.array([1, 2, -1], np.int32))
    batch = Batch(
        (frame_of(np.zeros((1, 6, 3), np.uint8)),),
        detections=(Detections.of(boxes, np.ones(3, np.float32), labels),),
        panoptic=(shown,),
        tracks=(tracks,),
    )
    found = np.stack([np.concatenate([[-1], shown.segments.labels])[ids], ids], -1).astype(np.int64)
    assert with_tracks(found, batch)[0].tolist() == [
        [ROAD, 0], [ROAD, 0], [PERSON, -2], [CAR, 5], [CAR, -4], [-1, 0],
    ]  # fmt: skip
