"""An exported network can be trained on: the same answers in evaluation, sound norms in training."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import torch

from stages.models.nano.blocks import ConvNorm
from stages.models.nano.export import export
from stages.models.nano.network import Nano, NanoConfig
from stages.models.nano.unfold import unfolded

SMALL = NanoConfig(widths=(8, 8, 16, 16, 16), depths=(1, 1, 1, 1), pyramid=16, mask_width=16, coefficients=8)


@pytest.fixture(scope="module")
def trained() -> Nano:
    """A network whose norms have seen pictures and whose scales are not 1."""
    torch.manual_seed(3)
    network = Nano(SMALL).train()
    for _ in range(3):
        network(torch.rand(4, 3, 64, 96) * 255)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d) and module.bias is not None:
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)  # equal ones would be stored once
        if isinstance(module, ConvNorm):
            norm = cast(torch.nn.BatchNorm2d, module[1])
            torch.nn.init.uniform_(norm.weight, 0.3, 3.0)
            torch.nn.init.uniform_(norm.bias, -0.5, 0.5)
    return network.eval()


@pytest.fixture(scope="module")
def exported(trained: Nano, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "small.onnx"
    export(trained, path, height=64, width=96)
    return path


def pictures(seed: int) -> torch.Tensor:
    return torch.rand(4, 3, 64, 96, generator=torch.Generator().manual_seed(seed)) * 255


def test_the_network_answers_as_before_the_export(trained: Nano, exported: Path) -> None:
    again = unfolded(exported, [pictures(1), pictures(2)], config=SMALL)
    with torch.no_grad():
        for wanted, given in zip(trained(pictures(5)), again(pictures(5)), strict=True):
            # weights travelled in half precision
            assert (wanted - given).abs().max() < 0.02 * wanted.std().clamp(min=0.1)


def test_in_training_the_norms_find_what_they_were_told(exported: Path) -> None:
    again = unfolded(exported, [pictures(1), pictures(2)], config=SMALL)
    with torch.no_grad():
        settled = again(pictures(1)).semantic
        moving = again.train()(pictures(1)).semantic
    assert (settled - moving).abs().mean() < 0.2 * settled.std()


def test_a_file_of_another_network_is_refused_by_name(exported: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no .*\d+ weights are missing"):
        unfolded(exported, [pictures(1)], config=NanoConfig(depths=(2, 2, 2, 2)))


def test_without_pictures_there_is_nothing_to_measure(exported: Path) -> None:
    with pytest.raises(ValueError, match="no pictures"):
        unfolded(exported, [], config=SMALL)
