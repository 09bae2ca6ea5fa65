"""Every format gives what torch gives, or is not written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import ModelError
from stages.models.exporting.deployed import OUTPUT_NAMES
from stages.models.exporting.export import ExportPlan, export
from stages.models.exporting.frames import as_input
from stages.models.exporting.running import run_openvino
from tests.stages.models.exporting.tiny import HEIGHT, WIDTH, frames, lively, pictures, trained

pytest.importorskip("onnxscript", reason="needs onnxscript, of the train extra")


def plan(folder: Path, *formats: str) -> ExportPlan:
    return ExportPlan(folder=folder, name="small", formats=formats, width=WIDTH, height=HEIGHT)  # type: ignore[arg-type]


def test_onnx_ir_and_program_give_what_torch_gives(tmp_path: Path) -> None:
    done = export(trained(), plan(tmp_path, "onnx", "openvino", "torch"), frames())
    assert [one.path.name for one in done] == ["small.onnx", "small.xml", "small.pt2"]
    assert all(one.agreement.seen for one in done), "nothing was found, so that nothing was compared"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "small.bin",
        "small.json",
        "small.onnx",
        "small.pt2",
        "small.xml",
    ]
    picture = as_input(np.concatenate(pictures(2, seed=9)))
    with torch.no_grad():
        expected = lively()(torch.from_numpy(picture))
    for name in ("small.onnx", "small.xml"):
        given = run_openvino(tmp_path / name, picture)
        assert set(given) == set(OUTPUT_NAMES)
        assert np.abs(given["boxes"] - expected.boxes.numpy()).max() < 0.5
        assert np.abs(given["scores"] - expected.class_logits.sigmoid().numpy()).max() < 0.05
        assert np.abs(given["semantic"] - expected.semantic.numpy()).max() < 0.05


def test_the_card_tells_the_classes_and_what_was_checked(tmp_path: Path) -> None:
    export(trained(), plan(tmp_path, "onnx"), frames())
    card = json.loads((tmp_path / "small.json").read_text())
    assert card["things"][0] == "person"
    assert card["network"]["pyramid"] == 16
    assert card["checked"]["on"] == "noise"
    assert card["checked"]["small.onnx"]["same_detections"] == 1.0


@pytest.mark.parametrize("size", [(100, 64), (96, 0), (96, 8192)])
def test_sizes_that_cannot_be_are_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(ModelError, match=f"pictures of {size[0]}x{size[1]}; both sides must be multiples of 32"):
        export(trained(), ExportPlan(folder=tmp_path, name="small", width=size[0], height=size[1]), frames())
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_finite_are_refused_by_name(tmp_path: Path) -> None:
    broken = trained()
    with torch.no_grad():
        broken.network.semantic.weight[0, 0] = float("nan")
    with pytest.raises(ModelError, match=r"weight semantic\.weight: 1 of 160 values are not finite"):
        export(broken, plan(tmp_path, "onnx"), frames())
    assert not list(tmp_path.iterdir())
