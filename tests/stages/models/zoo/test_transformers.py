"""transformers' networks from folders: what they find is what transformers says, in the classes and pixels of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.config import DetectorConfig, SegmenterConfig, SuppressConfig
from pipeline.errors import ConfigError, ModelError
from stages.detect.zoo import torch_detector
from stages.models.devices import Device
from stages.models.zoo.run import Machine
from stages.models.zoo.things import is_thing, things_first
from stages.models.zoo.transformers_models import DETECTORS, PANOPTIC, SEMANTIC, transformers_segmenter
from tests.stages.models.zoo.tiny import NETWORKS, transformers_folder

MACHINE = Machine(device=Device("cpu", "for a test"), offline=True)
SQUARE = {"size": {"height": 64, "width": 64}}


def detector(path: Path, **settings: Any) -> Any:
    return torch_detector(DetectorConfig(model=f"transformers:{path}", **settings), MACHINE, SuppressConfig())


def pictures() -> torch.Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("kind", ["rt_detr_v2", "d_fine", "rf_detr"])
@torch.inference_mode()
def test_boxes_are_those_of_its_own_post_processing(kind: str, tmp_path: Path) -> None:
    from transformers import RTDetrImageProcessor

    folder = transformers_folder(kind, tmp_path / "net", picture=SQUARE)
    model = detector(folder)
    assert (model.name, model.names, model.overlaps) == ("net", ("dog", "road", "person"), False)
    assert model.picture.normalise.mean[0] == pytest.approx(123.675 if kind == "rf_detr" else 0.0)
    given = pictures()
    network = model.module.network
    theirs = RTDetrImageProcessor().post_process_object_detection(network(given), 0.0, [(64, 64), (64, 64)])
    ours = model.module(given)
    for row, expected in enumerate(theirs):
        torch.testing.assert_close(ours["scores"][row], expected["scores"])
        torch.testing.assert_close(ours["boxes"][row], expected["boxes"], atol=1e-3, rtol=1e-4)
        assert ours["labels"][row].tolist() == expected["labels"].tolist()


@pytest.mark.parametrize("kind", ["eomt", "mask2former", "oneformer"])
@torch.inference_mode()
def test_queries_come_with_things_first_and_no_object_last(kind: str, tmp_path: Path) -> None:
    folder = transformers_folder(kind, tmp_path / "net", picture=SQUARE)
    model = detector(folder)
    assert (model.gives, model.names) == ("panoptic", ("dog", "person", "road"))
    given = pictures()
    found = model.module(given)
    more = {} if kind != "oneformer" else {"task_inputs": model.module.task.values.expand(2, -1)}
    network = model.module.network(pixel_values=given, **more)
    torch.testing.assert_close(found["classes"], network.class_queries_logits[..., [0, 2, 1, 3]])
    torch.testing.assert_close(found["masks"], network.masks_queries_logits)
    config = SegmenterConfig(model=f"transformers:{folder}")
    semantic = transformers_segmenter(
        str(folder), sha256=None, offline=True, class_names=config.class_names, size=None
    ).module(given)["logits"]
    classes = network.class_queries_logits[..., [0, 2, 1, 3]].softmax(-1)[..., :-1]
    expected = torch.einsum("nqc,nqhw->nchw", classes, network.masks_queries_logits.sigmoid())
    torch.testing.assert_close(semantic, expected)


def test_oneformer_is_told_its_task_in_its_tokenizers_numbers(tmp_path: Path) -> None:
    model = detector(transformers_folder("oneformer", tmp_path / "net"), picture_size=(64, 64))
    told = model.module.task.values[0].tolist()
    assert told == [0, 4, 5, 6, 4, 2, 3, 1]  # start, the, tas, end: as much as it takes
    for name in ("vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "net" / name).unlink(missing_ok=True)
    with pytest.raises(ModelError, match="OneFormer needs its tokenizer's files"):
        detector(tmp_path / "net", picture_size=(64, 64))


def test_every_type_has_a_tiny_network() -> None:
    assert {*DETECTORS, *PANOPTIC, *SEMANTIC} - {"rt_detr"} == set(NETWORKS)  # rt_detr is rt_detr_v2 but for a layer


def test_things_are_told_by_name_and_come_first() -> None:
    assert [is_thing(name) for name in ("person", "car, auto", "sky-other-merged", "rider", "LABEL_3")] == [
        True, True, False, True, False,
    ]  # fmt: skip
    assert things_first(["road", "car", "sky", "person"]) == [1, 3, 0, 2]


def test_a_folder_that_is_no_network_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config.json; a folder as save_pretrained writes it"):
        detector(tmp_path)
    folder = transformers_folder("segformer", tmp_path / "net", picture=SQUARE)
    with pytest.raises(ModelError, match=r"is of the type 'segformer'; as a detector, d_fine, "):
        detector(folder)
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="the weights cannot be loaded"):
        segmenter(folder)
    weights.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(ModelError, match=r"model.safetensors is needed \(pickled weights are not read\)"):
        segmenter(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"its config.json cannot be read"):
        segmenter(folder)


def test_weights_that_lack_a_tensor_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = transformers_folder("segformer", tmp_path / "net", picture=SQUARE)
    state = load_file(folder / "model.safetensors")
    state.pop(next(name for name in state if "classifier" in name))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"not all weights of Segformer.* are there: decode_head.classifier"):
        segmenter(folder)


def segmenter(folder: Path) -> Any:
    return transformers_segmenter(str(folder), sha256=None, offline=True, class_names=None, size=None)


def test_a_semantic_network_gives_its_logits(tmp_path: Path) -> None:
    model = segmenter(transformers_folder("segformer", tmp_path / "net", picture={"size": 64}))
    assert (model.gives, model.names, model.picture.width) == ("semantic", ("dog", "road", "person"), 64)
    with torch.inference_mode():
        assert model.module(pictures())["logits"].shape == (2, 3, 16, 16)


def test_a_name_of_the_hub_that_is_not_here_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError) as caught:
        detector(Path("nobody/no-such-network"))
    told = str(caught.value)
    assert "'offline' is set; put config.json, preprocessor_config.json and model.safetensors of" in told
    assert "https://huggingface.co/nobody/no-such-network into a folder and name it: transformers:FOLDER" in told
    with pytest.raises(ModelError, match="no such folder, and not a name OWNER/MODEL"):
        detector(Path("gone"))


@pytest.mark.parametrize(
    ("told", "size"),
    [
        ({"size": {"shortest_edge": 750, "longest_edge": 1333}}, (1344, 768)),
        ({"size": {"height": 96, "width": 64}}, (64, 96)),
        ({}, (512, 512)),
    ],
)
def test_the_picture_is_what_the_folder_says(told: dict[str, Any], size: tuple[int, int], tmp_path: Path) -> None:
    picture = segmenter(transformers_folder("segformer", tmp_path / "net", picture=told)).picture
    assert (picture.width, picture.height) == size
    np.testing.assert_allclose(picture.normalise.mean, [123.675, 116.28, 103.53])


def test_weights_beside_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a transformers folder has its weights in it"):
        detector(tmp_path, weights="x.pth")
