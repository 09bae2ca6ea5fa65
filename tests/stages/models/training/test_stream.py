"""Batches by number: repeatable, of all sets by their weight, and with the teacher asked where it should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from stages.models.labelled.taxonomy import Taxonomy
from stages.models.training.stream import Batches, LearningSet
from stages.models.training.targets import TrainingBatch
from stages.models.training.teacher import DenseTeacher
from tests.stages.models.training.pictures import SIDE, Squares, recipe, sets, yolox_file


def equal(first: TrainingBatch, second: TrainingBatch) -> bool:
    return torch.equal(first.images, second.images) and all(
        torch.equal(one.boxes, other.boxes) for one, other in zip(first.targets, second.targets, strict=True)
    )


def test_a_number_gives_the_same_batch_whatever_was_asked_before() -> None:
    settings = recipe(augment={"mosaic": 0.3, "mixup": 0.2, "copy_paste": 0.3})
    first, second = (Batches(sets(), settings, things=2) for _ in range(2))
    for step in (0, 1, 2):
        first[step]
    assert equal(first[3], second[3])
    assert not equal(first[3], first[4])


def test_copies_see_different_pictures_of_one_size() -> None:
    settings = recipe(sizes=[0.5, 1.0, 1.5])
    copies = [Batches(sets(), settings, things=2, rank=rank, copies=2) for rank in range(2)]
    shapes = set()
    for step in range(6):
        batches = [copy[step] for copy in copies]
        assert batches[0].images.shape == batches[1].images.shape
        assert not torch.equal(batches[0].images, batches[1].images)
        shapes.add(tuple(batches[0].images.shape))
    assert shapes <= {(2, 3, side, side) for side in (SIDE // 2, SIDE, SIDE * 3 // 2)}
    assert len(shapes) > 1


def test_sets_are_drawn_from_by_weight_and_number() -> None:
    settings = recipe(batch=64, augment={"whole": 1, "mirror": 0, "colour": 0, "noise": 0, "blur": 0})
    few = LearningSet(pictures=Squares(2, known=(True, False)), weight=3.0)
    many = LearningSet(pictures=Squares(18), weight=1.0)
    batches = Batches([few, many, LearningSet(pictures=Squares(4, known=(False, False)), weight=0)], settings, things=2)
    targets = [target for step in range(8) for target in batches[step].targets]
    share = np.mean([target.known is not None for target in targets])
    assert share == pytest.approx(0.25, abs=0.07)
    assert all(target.known is None or target.known.tolist() == [True, False] for target in targets)


def test_a_picture_is_drawn_as_often_as_it_is_to_be() -> None:
    settings = recipe(batch=64, augment={"whole": 1, "mirror": 0, "colour": 0, "noise": 0, "blur": 0})
    odds = np.array([0.8, 0.2])  # the second has two squares
    batches = Batches([LearningSet(pictures=Squares(2), odds=odds)], settings, things=2)
    drawn = [len(target.boxes) for step in range(8) for target in batches[step].targets]
    assert np.mean(np.array(drawn) == 2) == pytest.approx(0.2, abs=0.06)


def test_the_teacher_is_asked_where_a_set_is_taught(tmp_path: Path) -> None:
    from pipeline.messages import Classes

    taxonomy = Taxonomy(classes=Classes(("person", "car"), ("road",)))
    teacher = DenseTeacher(yolox_file(tmp_path / "yolox.onnx"), ["person", "car"], taxonomy)
    taught = Batches(sets(), recipe(), things=2, teacher=teacher)[0]
    assert len(taught.answers) == 4
    assert all(answer is not None and answer.scores.shape == (64 + 16 + 4, 2) for answer in taught.answers)
    left = Batches(sets(taught=False), recipe(), things=2, teacher=teacher)[0]
    assert left.answers == [None] * 4


def test_a_picture_with_objects_of_a_set_that_is_not_taught_is_not_asked_about(tmp_path: Path) -> None:
    from pipeline.messages import Classes

    taxonomy = Taxonomy(classes=Classes(("person", "car"), ("road",)))
    teacher = DenseTeacher(yolox_file(tmp_path / "yolox.onnx"), ["person", "car"], taxonomy)
    both = [LearningSet(pictures=Squares(4)), LearningSet(pictures=Squares(4), taught=False)]
    for chance, asked in ((0.0, 0.5), (1.0, 0.25)):
        batches = Batches(both, recipe(batch=64, augment={"copy_paste": chance}), things=2, teacher=teacher)
        share = np.mean([answer is not None for step in range(3) for answer in batches[step].answers])
        assert share == pytest.approx(asked, abs=0.1)


def test_copies_share_a_batch_that_does_not_divide() -> None:
    counts = [Batches(sets(), recipe(batch=5), things=2, rank=rank, copies=3).count for rank in range(3)]
    assert counts == [2, 2, 1]
