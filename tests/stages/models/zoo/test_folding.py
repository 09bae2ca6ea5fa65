"""A network whose normalisations were folded, and whose convolutions were fused, gives what it gave before."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stages.models.zoo.folding import fold_normalisations
from stages.models.zoo.fusing import Fused, fuse_convolutions
from stages.models.zoo.torchvision_models import make_network
from tests.gpu import cuda_device
from tests.stages.models.zoo.tiny import transformers_folder

SQUARE = {"size": {"height": 64, "width": 64}}
TINY = ["rt_detr_v2", "d_fine", "mask2former", "segformer"]


def trained(network: nn.Module) -> nn.Module:
    """With statistics and weights that a training could have left."""
    generator = torch.Generator().manual_seed(5)
    for module in network.modules():
        if getattr(module, "running_var", None) is not None:
            for name in ("weight", "running_var"):
                values: Tensor = getattr(module, name).data
                values.copy_(torch.rand(values.shape, generator=generator) + 0.5)
            for name in ("bias", "running_mean"):
                values = getattr(module, name).data
                values.copy_(0.2 * torch.randn(values.shape, generator=generator))
    return network.eval()


def left_of(network: nn.Module) -> int:
    return sum("BatchNorm" in type(module).__name__ for module in network.modules())


@torch.inference_mode()
def check(network: nn.Module, given: Tensor, of: Any, *, left: int = 0) -> None:
    """`of`: the tensors of what it returns. `left`: normalisations that cannot be folded."""
    plain = copy.deepcopy(trained(network))
    before = left_of(network)
    assert fold_normalisations(network) == before - left
    assert left_of(network) == left
    for ours, theirs in zip(of(network(given)), of(plain(given)), strict=True):
        assert float((ours - theirs).abs().max()) < 2e-4 * float(theirs.abs().max())
    assert fold_normalisations(network) == 0
    fused = fuse_convolutions(network)
    assert fused > 0
    assert sum(isinstance(module, Fused) for module in network.modules()) > 0
    for ours, theirs in zip(of(network(given)), of(plain(given)), strict=True):
        assert float((ours - theirs).abs().max()) < 2e-4 * float(theirs.abs().max())


@pytest.mark.parametrize("kind", TINY)
def test_networks_of_transformers(kind: str, tmp_path: Path) -> None:
    import transformers

    folder = transformers_folder(kind, tmp_path / "net", picture=SQUARE)
    config = transformers.AutoConfig.from_pretrained(folder)
    network = getattr(transformers, config.architectures[0]).from_pretrained(folder)
    names = {"mask2former": ("masks_queries_logits", "class_queries_logits"), "segformer": ("logits",)}
    left = 1 if kind == "segformer" else 0  # its head calls what it has in an order of its own
    given = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    check(network, given, lambda found: [found[name] for name in names.get(kind, ("logits", "pred_boxes"))], left=left)


@pytest.mark.parametrize("name", ["deeplabv3_resnet50", "lraspp_mobilenet_v3_large"])
def test_segmenters_of_torchvision(name: str) -> None:
    given = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(2))
    check(make_network(name, num_classes=4), given, lambda found: [found["out"]])


def test_a_backbone_with_frozen_normalisations() -> None:
    network = make_network("fasterrcnn_resnet50_fpn", num_classes=4).backbone
    given = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(2))
    check(network, given, lambda found: list(found.values()))


class Activated(nn.BatchNorm2d):
    """Does more than its name says."""

    def forward(self, pictures: Tensor) -> Tensor:
        return super().forward(pictures).relu()


def test_what_does_more_and_what_stands_twice_stays() -> None:
    given = torch.rand(2, 4, 9, 9, generator=torch.Generator().manual_seed(2))
    convolution, relu = nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()
    for network in (
        nn.Sequential(nn.Conv2d(4, 4, 3), Activated(4)),
        nn.Sequential(convolution, nn.BatchNorm2d(4), convolution, nn.BatchNorm2d(4)),
        nn.Sequential(relu, convolution, relu, nn.BatchNorm2d(4)),
    ):
        plain = copy.deepcopy(trained(network))
        assert fold_normalisations(network) == 0
        fuse_convolutions(network)
        torch.testing.assert_close(network(given), plain(given))


def test_no_pictures_are_no_fault() -> None:
    network = trained(nn.Sequential(nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 1)))
    assert (fold_normalisations(network), fuse_convolutions(network)) == (1, 2)
    assert network(torch.zeros(0, 4, 7, 7)).shape == (0, 2, 7, 7)


def test_what_another_layer_stands_between_stays() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8))
    check(network, torch.rand(1, 3, 9, 9), lambda found: [found], left=1)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@torch.inference_mode()
def test_a_gpu_has_kernels_for_it(dtype: torch.dtype) -> None:
    device = cuda_device().name
    network = make_network("deeplabv3_resnet50", num_classes=4).backbone
    fold_normalisations(trained(network))
    plain = copy.deepcopy(network).to(device, dtype).to(memory_format=torch.channels_last)
    assert fuse_convolutions(network) > 10
    network.to(device, dtype).to(memory_format=torch.channels_last)
    given = torch.rand(2, 3, 96, 128, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    for _ in range(2):
        for ours, theirs in zip(network(given).values(), plain(given).values(), strict=True):
            error = float((ours - theirs).abs().max()) / float(theirs.abs().max())
            assert error < {torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 8e-2}[dtype]
    kernels = [module for module in network.modules() if isinstance(module, Fused) and dtype in module.kinds]
    assert sum(dtype in module._trusted for module in kernels) > 0.9 * len(kernels)
    assert network["conv1"](given[:0]).shape[0] == 0
