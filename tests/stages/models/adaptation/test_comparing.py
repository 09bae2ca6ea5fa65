"""Before and after: what counts as found, how models are measured, and the picture of both."""

from __future__ import annotations

import numpy as np

from pipeline.config import EMBEDDED_MODEL
from pipeline.messages import Detections
from stages.detect.build import WEIGHTS
from stages.models.adaptation.comparing import counts, measure, shifts_of, times
from stages.models.adaptation.found import Found
from stages.models.adaptation.pictured import COLUMN, SPACE, labels_of, side_by_side, telling
from stages.models.adaptation.teacher import open_teacher
from stages.models.labelled.packed import KeyedSample
from stages.models.labelled.sample import Sample, pack
from stages.models.labelled.taxonomy import world_taxonomy
from stages.models.labelled.world import sample_of
from stages.models.world import World


def labelled(boxes: list[list[float]], visibility: list[float]) -> Sample:
    count = len(boxes)
    image, regions = np.full((60, 80, 3), 90, np.uint8), np.zeros((60, 80), np.uint8)
    found = np.array(boxes, np.float32).reshape(count, 4)
    return Sample(image, regions, found, np.zeros(count, np.int64), np.array(visibility, np.float32))


def detections(boxes: list[list[float]], scores: list[float], labels: list[int]) -> Detections:
    return Detections.of(np.array(boxes, np.float32), np.array(scores, np.float32), np.array(labels, np.int32))


def test_found_missed_and_false_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 20], [30, 0, 40, 20], [60, 0, 70, 20]], np.float32)
    found = detections(
        [[0, 0, 10, 20], [0, 1, 10, 20], [60, 0, 70, 20], [30, 0, 40, 20], [0, 40, 10, 60]],
        [0.9, 0.8, 0.9, 0.3, 0.7],
        [0, 0, 0, 0, 1],
    )
    ignored = np.array([False, False, True])
    objects, hits, false = counts(found, boxes, np.zeros(3, np.int64), ignored, 2)
    assert objects.tolist() == [2, 0]
    assert hits.tolist() == [1, 0]  # the second label was found with too low a score
    assert false.tolist() == [1, 1]  # the same object twice; another class; the doubtful one counts neither way


def test_nothing_found_and_nothing_there() -> None:
    none = np.zeros((0, 4), np.float32)
    objects, hits, false = counts(Detections.empty(), none, np.zeros(0, np.int64), np.zeros(0, np.bool_), 3)
    assert objects.tolist() == hits.tolist() == false.tolist() == [0, 0, 0]


def test_what_is_counted_is_what_average_precision_counts() -> None:
    doubtful, truth = np.array([[0, 0, 100, 100]], np.float32), np.zeros(1, np.int64)
    found = detections([[10, 10, 30, 50], [200, 0, 210, 20]], [0.9, 0.9], [0, 1])
    objects, hits, false = counts(found, doubtful, truth, np.array([True]), 2, open_labels=[1])
    # a box inside a doubtful one, however small, and one of a class that nobody looked for
    assert objects.tolist() == hits.tolist() == false.tolist() == [0, 0]


def test_the_embedded_network_is_measured_on_frames_it_knows() -> None:
    samples = []
    for seed in (11, 12):
        world = World(seed, split="train", width=640, height=360)
        samples.append(KeyedSample(f"{seed}@0.0", pack(sample_of(world.render()))))
    told: list[tuple[str, int, int]] = []
    taxonomy = world_taxonomy()
    figures = measure(EMBEDDED_MODEL, samples, taxonomy, said="before", progress=lambda *one: told.append(one))
    assert told == [("before", 1, 2), ("before", 2, 2)]
    assert figures.mean_ap50 > 0.3
    assert figures.frames == 2
    assert 0 < sum(figures.found.values()) <= sum(figures.objects.values())
    assert figures.ap50.keys() == figures.objects.keys()


def test_teacher_and_network_are_timed_on_the_same_frames() -> None:
    teacher = open_teacher(EMBEDDED_MODEL, world_taxonomy())
    spent = times([teacher], EMBEDDED_MODEL, [np.zeros((64, 96, 3), np.uint8)], frames=2)
    assert spent.keys() == {"everyframe-nano"}
    assert spent["everyframe-nano"] > 0


def test_the_frames_shown_are_those_with_most_in_them() -> None:
    samples = [
        KeyedSample(str(i), pack(labelled([[5, 5, 25, 50]] * count, [1.0] * count)))
        for i, count in enumerate([0, 2, 1, 0, 0, 3])
    ]
    assert telling(samples, rows=2) == [1, 5]
    assert telling(samples[:1], rows=6) == [0]


def test_columns_stand_side_by_side() -> None:
    sample = labelled([[5, 5, 25, 50], [40, 5, 60, 50]], [1.0, 0.0])
    certain = labels_of(pack(sample))
    assert len(certain) == 1
    picture = side_by_side([sample.image], {"before": [Found.empty()], "labels": [certain]}, ["person"], seconds=[1.5])
    assert picture.shape[1] == 2 * COLUMN + SPACE
    half = picture[60:-60]
    assert (half[:, :COLUMN] != half[:, COLUMN + SPACE :]).any()
    assert len(np.unique(half[:, :COLUMN].reshape(-1, 3), axis=0)) < len(np.unique(half.reshape(-1, 3), axis=0))


def test_scores_are_brought_to_a_runs_threshold_by_frames_that_were_learnt_from() -> None:
    samples = []
    for seed in range(11, 23):
        world = World(seed, split="train", width=640, height=360)
        samples.append(KeyedSample(f"{seed}@0.0", pack(sample_of(world.render()))))
    taxonomy = world_taxonomy()
    shifts = shifts_of(WEIGHTS / f"{EMBEDDED_MODEL}.onnx", samples, taxonomy)
    assert len(shifts) == len(taxonomy.things)
    objects = np.concatenate([one.sample.labels for one in samples])
    rare = [shift for label, shift in enumerate(shifts) if (objects == label).sum() < 20]
    assert rare == [0.0] * len(rare)  # of too few nothing is told
    assert all(abs(shift) <= 2 for shift in shifts)
    assert any(shifts)
