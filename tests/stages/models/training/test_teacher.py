"""A teacher's answers on the network's cells, and what is learnt from them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import ConfigError, ModelError
from pipeline.messages import Classes
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.nano.network import anchor_points
from stages.models.training.distillation import distillation_loss, taught_boxes, taught_scores
from stages.models.training.teacher import Answer, DenseTeacher
from tests.stages.models.training.pictures import yolox_file

TAXONOMY = Taxonomy(classes=Classes(("person", "cat")), gathers={"person": ("rider",)})


def test_each_class_is_the_highest_of_what_it_gathers_and_a_foreign_one_is_not_known(tmp_path: Path) -> None:
    teacher = DenseTeacher(yolox_file(tmp_path / "yolox.onnx", classes=3), ["rider", "person", "tree"], TAXONOMY)
    answer = teacher(np.zeros((64, 96, 3), np.uint8))
    cells = len(anchor_points(64, 96))
    assert answer.scores.shape == (cells, 2)
    assert torch.allclose(answer.scores[:, 0], torch.tensor(0.9))
    assert answer.scores[:, 1].isnan().all()


def test_boxes_lie_around_the_cells(tmp_path: Path) -> None:
    teacher = DenseTeacher(yolox_file(tmp_path / "yolox.onnx"), ["person", "tree"], TAXONOMY)
    answer = teacher(np.zeros((32, 64, 3), np.uint8))
    anchors = anchor_points(32, 64)
    strides = anchors[:, 2:]
    assert torch.allclose(answer.boxes, torch.cat([anchors[:, :2] - strides, anchors[:, :2] + strides], 1), atol=1e-3)


def test_teachers_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        DenseTeacher(tmp_path / "missing.onnx", ["person"], TAXONOMY)
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ModelError, match="cannot be read"):
        DenseTeacher(tmp_path / "text.onnx", ["person"], TAXONOMY)
    with pytest.raises(ModelError, match="1 x cells x 85"):
        DenseTeacher(yolox_file(tmp_path / "yolox.onnx"), [f"person{i}" for i in range(79)] + ["person"], TAXONOMY)
    with pytest.raises(ConfigError, match="knows none of person, cat"):
        DenseTeacher(yolox_file(tmp_path / "yolox.onnx"), ["tree", "bush"], TAXONOMY)


def test_scores_by_hand() -> None:
    logits = torch.zeros(1, 2)  # 0.5 each
    # the first is off by 0.5: 0.25 x ln 2; the second is not known
    assert float(taught_scores(logits, torch.tensor([[1.0, math.nan]]))) == pytest.approx(0.25 * math.log(2))
    assert float(taught_scores(logits, torch.tensor([[0.5, 0.5]]))) == pytest.approx(0.0)


def test_boxes_count_by_score_and_only_where_something_is_seen() -> None:
    boxes = torch.tensor([[0.0, 0, 8, 8], [0, 0, 8, 8], [0, 0, 8, 8]])
    theirs = torch.tensor([[0.0, 0, 8, 8], [100, 100, 108, 108], [0, 0, 4, 8]])
    alone = float(taught_boxes(boxes[2:], theirs[2:], torch.tensor([0.9])))
    mixed = float(taught_boxes(boxes, theirs, torch.tensor([0.9, 0.1, 0.3])))
    assert alone > 0.4
    assert mixed == pytest.approx(alone * 0.3 / 1.2, abs=1e-5)
    assert float(taught_boxes(boxes, theirs, torch.zeros(3))) == 0.0


def test_pictures_about_which_nobody_was_asked_do_not_count() -> None:
    logits, boxes = torch.zeros(2, 3, 1, requires_grad=True), torch.rand(2, 3, 4)
    answer = Answer(torch.full((3, 1), 0.9), torch.tensor([[0.0, 0, 4, 4]] * 3))
    terms = distillation_loss(logits, boxes, [None, answer])
    torch.autograd.backward(terms["taught_classes"])
    assert logits.grad is not None
    assert (logits.grad[0] == 0).all()
    assert (logits.grad[1] != 0).all()
    assert float(distillation_loss(logits, boxes, [None, None])["taught_classes"].detach()) == 0.0
