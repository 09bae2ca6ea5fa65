"""An exported network can be trained on: the same answers in evaluation, sound norms in training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.errors import ModelError
from stages.models.exporting.export import ExportPlan, export
from stages.models.exporting.unfold import refolded, unfolded
from stages.models.nano.network import Nano, NanoConfig
from tests.stages.models.exporting.tiny import HEIGHT, WIDTH, frames, lively, trained

pytest.importorskip("onnxscript", reason="needs onnxscript, of the train extra")


@pytest.fixture(scope="module")
def network() -> Nano:
    return lively()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    export(trained(), ExportPlan(folder=folder, name="small", width=WIDTH, height=HEIGHT), frames())
    return folder / "small.onnx"


def pictures(seed: int) -> torch.Tensor:
    return torch.rand(4, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed)) * 255


def test_the_network_answers_as_before_the_export(network: Nano, exported: Path) -> None:
    again = unfolded(exported, [pictures(1), pictures(2)])
    with torch.no_grad():
        for wanted, given in zip(network(pictures(5))[:5], again(pictures(5))[:5], strict=True):
            # weights travelled in half precision
            assert (wanted - given).abs().max() < 0.02 * wanted.std().clamp(min=0.1)


def test_in_training_the_norms_find_what_they_were_told(exported: Path) -> None:
    again = unfolded(exported, [pictures(1), pictures(2)])
    with torch.no_grad():
        settled = again(pictures(1)).semantic
        moving = again.train()(pictures(1)).semantic
    assert (settled - moving).abs().mean() < 0.2 * settled.std()


def test_norms_stay_folded_for_evaluation_alone(network: Nano, exported: Path) -> None:
    again = refolded(exported)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in again.modules())
    with torch.no_grad():
        for wanted, given in zip(network(pictures(5))[:5], again(pictures(5))[:5], strict=True):
            assert (wanted - given).abs().max() < 0.02 * wanted.std().clamp(min=0.1)


def test_a_file_of_another_network_is_refused_by_name(exported: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no .*\d+ weights are missing"):
        unfolded(exported, [pictures(1)], config=NanoConfig(depths=(2, 2, 2, 2)))


def test_without_pictures_there_is_nothing_to_measure(exported: Path) -> None:
    with pytest.raises(ValueError, match="no pictures"):
        unfolded(exported, [])


def test_without_its_card_a_file_says_nothing_of_its_shape(exported: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.onnx"
    alone.write_bytes(exported.read_bytes())
    with pytest.raises(ModelError, match="the model's card cannot be read"):
        unfolded(alone, [pictures(1)])


def test_what_is_no_onnx_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match=r"no\.onnx: not an ONNX file"):
        refolded(tmp_path / "no.onnx", config=NanoConfig())
