"""torchvision's networks: their candidates are what torchvision finds before it suppresses; weights and names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.config import DetectorConfig, SegmenterConfig, SuppressConfig
from pipeline.errors import ConfigError, ModelError
from stages.detect.zoo import kept_rows, torch_detector
from stages.models.devices import Device
from stages.models.zoo import torchvision_detectors, torchvision_models, torchvision_segmenters
from stages.models.zoo.run import Machine
from stages.models.zoo.torchvision_detectors import DETECTORS, Dense, Fcos, Ssd, TwoStage, TwoStageMasks
from stages.segment.box_masks import paste_masks
from stages.segment.zoo import segment_with, torch_segmenter
from stages.suppress.suppress import suppress
from tests.stages.models.zoo.tiny import torchvision_network

SIZE = 64
CLASSES = (1, 2, 3, 4)
MACHINE = Machine(device=Device("cpu", "for a test"), offline=True)
FAMILIES: dict[str, Any] = {
    "ssd": Ssd,
    "retinanet": Dense,
    "fcos": Fcos,
    "fasterrcnn": TwoStage,
}


def best(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.argsort(-scores, kind="stable")


def pictures(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("family", ["ssd", "retinanet", "fcos", "fasterrcnn"])
@torch.inference_mode()
def test_candidates_are_those_of_torchvision_before_suppression(family: str) -> None:
    network = torchvision_network(family, SIZE)
    given = pictures()
    theirs = network(list(given))
    ours = FAMILIES[family](network, CLASSES, (SIZE, SIZE), best)(given)
    for row, expected in enumerate(theirs):
        real = ours["scores"][row] > 0
        boxes = ours["boxes"][row][real].clamp(0, SIZE)  # the stage cuts them to the source's picture
        found = {
            (round(float(score), 4), CLASSES[int(label)], *(round(float(v), 1) for v in box))
            for score, label, box in zip(ours["scores"][row][real], ours["labels"][row][real], boxes, strict=True)
        }
        assert len(expected["scores"]) >= 15
        for score, label, box in list(zip(expected["scores"], expected["labels"], expected["boxes"], strict=True))[:15]:
            # RetinaNet's own first class is never anything; torchvision reports it all the same.
            if int(label) == 0:
                continue
            near = [
                one
                for one in found
                if one[1] == int(label)
                and abs(one[0] - float(score)) < 2e-3
                and np.allclose(one[2:], box.numpy(), atol=0.5)
            ]
            assert near, f"{family}: torchvision finds {int(label)} at {box.tolist()} with {float(score):.4f}"


@torch.inference_mode()
def test_masks_of_boxes_are_those_of_torchvision() -> None:
    network = torchvision_network("maskrcnn", SIZE)
    given = pictures(1)
    (theirs,) = network(list(given))
    ours = TwoStageMasks(network, CLASSES, (SIZE, SIZE), best)(given)
    count = 10
    boxes = ours["boxes"][0, :count].numpy()
    pasted = paste_masks(ours["masks"][0, :count].numpy(), boxes, height=SIZE, width=SIZE)
    matched = 0
    for i in range(count):
        j = int(np.abs(theirs["boxes"].numpy() - boxes[i].clip(0, SIZE)).max(axis=1).argmin())
        if np.abs(theirs["boxes"][j].numpy() - boxes[i]).max() > 0.01:
            continue  # one that was cut to the picture has its mask made for what was cut
        if int(theirs["labels"][j]) != CLASSES[int(ours["labels"][0, i])]:
            continue
        expected = (theirs["masks"][j, 0] > 0.5).numpy()
        assert (pasted[i] != expected).mean() < 0.02
        matched += 1
    assert matched >= 2


def test_a_mask_fills_its_box_and_stays_in_the_picture() -> None:
    full = np.ones((3, 28 * 28), dtype=np.float32)
    boxes = np.array([[2, 3, 12, 9], [-4, -4, 4, 4], [40, 40, 50, 50]], dtype=np.float32)
    pasted = paste_masks(full, boxes, height=20, width=30)
    assert pasted[0].sum() == 60
    assert pasted[0, 3:9, 2:12].all()
    assert pasted[1].sum() == 16
    assert not pasted[2].any()
    assert paste_masks(full[:0], boxes[:0], height=4, width=5).shape == (0, 4, 5)


def test_suppressing_what_was_kept_gives_the_same_again() -> None:
    random = np.random.default_rng(4)
    corners = random.uniform(0, 60, (200, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + random.uniform(5, 30, (200, 2)).astype(np.float32)], axis=1)
    scores = random.uniform(0.05, 1, 200).astype(np.float32)
    labels = random.integers(0, 3, 200).astype(np.int32)
    config = SuppressConfig(max_detections=40)
    rows = kept_rows(boxes, scores, labels, config=config)
    once, first = suppress(boxes, scores, labels, max_detections=40)
    again, second = suppress(boxes[rows], scores[rows], labels[rows], max_detections=40)
    assert np.array_equal(once, rows[again])
    np.testing.assert_allclose(first, second, rtol=1e-6)


def saved(tmp_path: Path, name: str, classes: int) -> Path:
    from torchvision import models

    torch.manual_seed(0)
    path = tmp_path / f"{name}.pth"
    torch.save(models.get_model(name, weights=None, weights_backbone=None, num_classes=classes).state_dict(), path)
    return path


def test_a_detector_from_a_file_knows_its_classes_picture_and_version(tmp_path: Path) -> None:
    name = "ssdlite320_mobilenet_v3_large"
    path = saved(tmp_path, name, 91)
    config = DetectorConfig(model=f"torchvision:{name}", weights=str(path))
    model = torch_detector(config, MACHINE, SuppressConfig())
    assert (model.picture.width, model.picture.height, model.picture.fit) == (320, 320, "stretch")
    assert model.picture.normalise.mean == (127.5, 127.5, 127.5)
    assert (len(model.names), model.names[:2]) == (80, ("person", "bicycle"))
    wrong = DetectorConfig(model=f"torchvision:{name}", weights=str(path), sha256="0" * 64)
    with pytest.raises(ModelError, match=r"SHA-256 is .*0000 is wanted"):
        torch_detector(wrong, MACHINE, SuppressConfig())
    other = DetectorConfig(model=f"torchvision:{name}", weights=str(path), class_names=["cat", "dog"])
    with pytest.raises(ModelError, match="not weights of torchvision:ssdlite320_mobilenet_v3_large"):
        torch_detector(other, MACHINE, SuppressConfig())


def test_weights_that_are_not_here_say_which_file_to_put_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    config = DetectorConfig(model="torchvision:fcos_resnet50_fpn")
    with pytest.raises(ModelError) as caught:
        torch_detector(config, MACHINE, SuppressConfig())
    told = str(caught.value)
    assert "'offline' is set; put https://download.pytorch.org/models/fcos_resnet50_fpn_coco-99b0c9b7.pth" in told
    assert f"at {tmp_path}/checkpoints/fcos_resnet50_fpn_coco-99b0c9b7.pth" in told
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "fcos_resnet50_fpn_coco-99b0c9b7.pth").write_bytes(b"half a download")
    with pytest.raises(ModelError, match="the file is damaged or another one"):
        torch_detector(config, MACHINE, SuppressConfig())


def test_a_name_that_is_not_known_is_refused_with_close_ones() -> None:
    with pytest.raises(ConfigError, match=r"torchvision:ssdlite320 is not known; did you mean ssdlite320_mobilenet"):
        torch_detector(DetectorConfig(model="torchvision:ssdlite320"), MACHINE, SuppressConfig())


def test_every_name_is_one_that_torchvision_publishes_weights_of() -> None:
    from torchvision import models

    for name in (*DETECTORS, *torchvision_segmenters.SEGMENTERS):
        url = models.get_model_weights(name).DEFAULT.url
        digits = url.rpartition("-")[2].removesuffix(".pth")
        assert len(digits) == 8, f"{name}: {url} does not tell its checksum"
    assert set(DETECTORS) >= torchvision_models._EPSILON_OF_PUBLISHED
    assert set(torchvision_detectors._SMALL) <= set(DETECTORS)


def test_a_segmenter_gives_the_logits_that_torchvision_enlarges(tmp_path: Path) -> None:
    from torchvision import models

    name = "lraspp_mobilenet_v3_large"
    path = saved(tmp_path, name, 21)
    config = SegmenterConfig(model=f"torchvision:{name}", weights=str(path), picture_size=(96, 64))
    stage = segment_with(torch_segmenter(config, MACHINE), config, MACHINE)
    assert (len(stage.class_names), stage.class_names[0]) == (21, "background")
    stage.close()
    network = models.get_model(name, weights=None, weights_backbone=None).eval()
    network.load_state_dict(torch.load(path, weights_only=True))
    check_enlarged(network)


def test_so_does_one_whose_head_takes_a_single_map() -> None:
    from torchvision.models.segmentation.fcn import FCN, FCNHead

    class Features(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 8, 8, stride=8)

        def forward(self, given: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"out": self.layer(given)}

    check_enlarged(FCN(Features(), FCNHead(8, 21)).eval())


@torch.inference_mode()
def check_enlarged(network: nn.Module) -> None:
    given = torch.rand(2, 3, 64, 96)
    ours = torchvision_segmenters.Semantic(network)(given)["logits"]
    assert ours.shape[2] < 64
    enlarged = nn.functional.interpolate(ours, size=(64, 96), mode="bilinear", align_corners=False)
    torch.testing.assert_close(enlarged, network(given)["out"])
