"""ShuffleNetV2's units against the paper's description, and published weights by their names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.errors import ModelError
from stages.models.nano.backbone import ShuffleBackbone, ShuffleUnit


def test_a_unit_of_stride_1_leaves_every_other_channel_as_it_was() -> None:
    unit = ShuffleUnit(8, 8, stride=1).eval()
    features = torch.randn(2, 8, 6, 6)
    with torch.no_grad():
        given = unit(features)
        assert torch.equal(given[:, :4], features[:, ::2])
        assert torch.allclose(given[:, 4:], unit.main(features[:, 1::2]))


def test_strides_and_widths() -> None:
    features = ShuffleBackbone().eval()(torch.zeros(1, 3, 64, 96))
    assert [tuple(f.shape[1:]) for f in features] == [(32, 16, 24), (48, 8, 12), (96, 4, 6), (192, 2, 3)]


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=r"no first_conv|no stage2"):
        ShuffleBackbone().load_pretrained(tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(ModelError, match="cannot be read as weights"):
        ShuffleBackbone().load_pretrained(tmp_path / "text.pth")
    with pytest.raises(ModelError, match="no such file"):
        ShuffleBackbone().load_pretrained(tmp_path / "missing.pth")


@pytest.mark.shared
def test_published_weights_find_in_photographs_what_they_were_measured_on(shared_data: Path) -> None:
    """The norms' stored means are those of what they are given: channels, colours and levels are in the right order."""
    import cv2

    backbone = ShuffleBackbone()
    backbone.load_pretrained(shared_data / "weights" / "shufflenetv2_x0_5_imagenet.pth")
    pictures = [cv2.imread(str(path)) for path in sorted((shared_data / "coco" / "images").glob("*.jpg"))[:24]]
    batch = torch.stack(
        [torch.from_numpy(cv2.resize(p, (224, 224), interpolation=cv2.INTER_AREA)[..., ::-1].copy()) for p in pictures]
    )
    images = batch.permute(0, 3, 1, 2).float()
    assert _error(backbone, images) < 0.2 < _error(backbone, images * 255)


def _error(backbone: ShuffleBackbone, images: torch.Tensor) -> float:
    """How far the norms' inputs lie from their stored means, in stored deviations; the median over all norms."""
    found: list[float] = []

    def look(norm: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(norm, torch.nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        off = (inputs[0].mean((0, 2, 3)) - norm.running_mean).abs() / (norm.running_var + norm.eps).sqrt()
        found.append(float(off.median()))

    for name, module in backbone.eval().named_modules():
        if isinstance(module, torch.nn.BatchNorm2d) and not name.startswith("detail"):
            module.register_forward_pre_hook(look)
    with torch.no_grad():
        backbone(images)
    return float(torch.tensor(found).median())


def test_the_stem_sees_levels_in_0_to_1() -> None:
    backbone = ShuffleBackbone().eval()
    images = torch.full((1, 3, 32, 32), 255.0)
    with torch.no_grad():
        expected = backbone.stem(torch.ones(1, 3, 32, 32))
        assert torch.allclose(backbone(images)[0], backbone.detail(expected), atol=1e-6)
