"""Readers: what goes wrong in them is told as here, and one that asks a teacher does not wait for ever."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from torch.utils.data import get_worker_info

from pipeline.errors import DataError
from stages.models.labelled.ending import Asked
from stages.models.labelled.sample import Sample
from stages.models.training.history import Listener, Step
from stages.models.training.readers import TrainingFailed
from stages.models.training.replicas import Replica, run_replicas
from stages.models.training.stream import LearningSet
from stages.models.training.train import train
from tests.stages.models.training.pictures import Squares, recipe, sets, yolox_file


@dataclass(frozen=True)
class Broken(Squares):
    def __getitem__(self, index: int) -> Sample:
        raise DataError("square.jpg: is no picture")


@dataclass(frozen=True)
class Deadly(Squares):
    def __getitem__(self, index: int) -> Sample:
        if get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


@pytest.mark.parametrize("readers", [0, 1])
def test_a_picture_that_cannot_be_read_is_told_in_a_line(tmp_path: Path, readers: int) -> None:
    with pytest.raises(DataError, match=r"^square\.jpg: is no picture$"):
        train(recipe(readers=readers), [LearningSet(pictures=Broken())], tmp_path)


def test_a_reader_that_is_killed_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match=r"reads pictures was ended from outside .* the same command goes on"):
        train(recipe(readers=1), [LearningSet(pictures=Deadly())], tmp_path)


def _taught(replica: Replica, tell: Listener | None, interrupted: Asked, *, folder: Path) -> bool:
    teacher = {"model": str(folder / "yolox.onnx"), "names": ["person", "car"]}
    settings = recipe(steps=2, readers=1, validate_every=1, teacher=teacher)
    return train(settings, sets(), folder, held_out=sets(2), replica=replica, tell=tell, interrupted=interrupted)


@pytest.mark.long
def test_readers_ask_the_teacher_between_looks_at_held_out_pictures_too(tmp_path: Path) -> None:
    yolox_file(tmp_path / "yolox.onnx")
    told: list[Step] = []
    deadline = time.monotonic() + 120

    def too_long() -> bool:
        assert time.monotonic() < deadline, "a reader waits for ever"
        return False

    assert run_replicas(1, partial(_taught, folder=tmp_path), told.append, too_long, apart=True)
    assert ["taught_classes" in step.validation for step in told if step.validation] == [True, True]
