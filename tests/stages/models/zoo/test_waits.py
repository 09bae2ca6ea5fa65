"""No network that says it can be captured in a CUDA graph asks its device for anything, or copies to it from the host.

They are run on torch's ``meta`` device, which holds no values: whatever asks it for one fails, as in a capture.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pipeline.config import DetectorConfig, SegmenterConfig, SuppressConfig
from pipeline.messages import Classes, Frame
from stages.detect.on_device import BoxReader
from stages.detect.zoo import torch_detector
from stages.models.constants import MadeOnce
from stages.models.device_backend import Looked
from stages.models.devices import Device
from stages.models.preprocess import place
from stages.models.torch_backend import TorchNetwork
from stages.models.zoo import torchvision_detectors as detectors
from stages.models.zoo.model import TorchModel
from stages.models.zoo.run import Machine
from stages.models.zoo.torchvision_segmenters import Semantic
from stages.segment.on_device import BoxesWithMaps, Queries
from stages.segment.zoo import torch_segmenter
from tests.gpu import cuda_device
from tests.stages.cells import Brightness, Cells, clip, network
from tests.stages.cells import Queries as LevelQueries
from tests.stages.models.zoo.tiny import NETWORKS, torchvision_network, transformers_folder

MACHINE = Machine(device=Device("cpu", "for a test"), offline=True)
SQUARE = {"size": {"height": 64, "width": 64}}
META = torch.device("meta")


class FromTheHost(TorchDispatchMode):
    """Notes what reads a tensor of the host and one of the device, or makes the second of the first.

    A tensor without dimensions is handed over with a kernel's arguments, unless it is copied.
    """

    def __init__(self, noted: list[str]) -> None:
        super().__init__()
        self.noted = noted

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        read = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        made = [t for t in tree_leaves(result) if isinstance(t, torch.Tensor)]
        is_copy = func is torch.ops.aten.copy_.default
        of_host = any(t.device.type == "cpu" and (t.ndim or is_copy) for t in read)
        if of_host and any(t.device.type == "meta" for t in (*read, *made)):
            self.noted.append(str(func))
        return result


class OfNumbers(TorchFunctionMode):
    """Notes what makes a tensor on the device of numbers."""

    def __init__(self, noted: list[str]) -> None:
        super().__init__()
        self.noted = noted

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.tensor, torch.as_tensor) and torch.device((kwargs or {}).get("device") or "cpu") == META:
            self.noted.append(f"{func.__name__} of {args[0]}")
        return func(*args, **(kwargs or {}))


def copies_of(work: Any) -> list[str]:
    """What work copies to the device. What asks the device for a value raises."""
    noted: list[str] = []
    with torch.no_grad(), OfNumbers(noted), FromTheHost(noted):
        work()
    return noted


def check(module: nn.Module) -> None:
    module, pictures, constants = module.to(META), torch.zeros(2, 3, 64, 64, device=META), MadeOnce()
    with torch.no_grad(), constants:
        module(pictures)

    def again() -> None:
        with constants:
            module(pictures)

    assert copies_of(again) == []


def of_transformers(kind: str, path: Path, *, semantic: bool = False) -> TorchModel:
    folder = f"transformers:{transformers_folder(kind, path, picture=SQUARE)}"
    if semantic:
        return torch_segmenter(SegmenterConfig(model=folder), MACHINE)
    return torch_detector(DetectorConfig(model=folder), MACHINE, SuppressConfig())


@pytest.mark.parametrize("kind", sorted(set(NETWORKS) - {"oneformer", "segformer"}))
def test_detectors_and_panoptic_networks_of_transformers(kind: str, tmp_path: Path) -> None:
    model = of_transformers(kind, tmp_path / "net")
    assert model.static
    check(model.module)


@pytest.mark.parametrize("kind", ["eomt", "mask2former", "segformer"])
def test_semantic_networks_of_transformers(kind: str, tmp_path: Path) -> None:
    model = of_transformers(kind, tmp_path / "net", semantic=True)
    assert model.static
    check(model.module)


def test_oneformer_asks_and_says_so(tmp_path: Path) -> None:
    for semantic in (False, True):
        model = of_transformers("oneformer", tmp_path / str(semantic), semantic=semantic)
        assert not model.static
        with pytest.raises(RuntimeError, match=r"nonzero|item"):
            check(model.module)


@pytest.mark.parametrize(
    ("kind", "make"), [("ssd", detectors.Ssd), ("retinanet", detectors.Dense), ("fcos", detectors.Fcos)]
)
def test_dense_detectors_of_torchvision(kind: str, make: Any) -> None:
    check(make(torchvision_network(kind, 64), range(1, 5), (64, 64), lambda *_: None))


@pytest.mark.parametrize("name", ["deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large", "fcn_resnet50"])
def test_semantic_networks_of_torchvision(name: str) -> None:
    from torchvision import models

    check(Semantic(models.get_model(name, weights=None, weights_backbone=None).eval()))


def test_a_network_that_copies_or_asks_is_found_out() -> None:
    class Copies(nn.Module):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return pictures + torch.ones(64).to(pictures.device)

    class Asks(nn.Module):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return pictures if pictures.sum() > 0 else pictures + 1

    class Numbers(nn.Module):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return pictures * torch.tensor([2.0], device=pictures.device)

    pictures = torch.zeros(1, 3, 64, 64, device=META)
    assert copies_of(lambda: Numbers()(pictures)) == ["tensor of [2.0]"]
    check(Numbers())
    with pytest.raises(AssertionError, match="_to_copy"):
        check(Copies())
    with pytest.raises((RuntimeError, NotImplementedError)):
        check(Asks())


@pytest.mark.gpu
@pytest.mark.parametrize("kind", sorted(set(NETWORKS) - {"oneformer"}))
def test_they_are_captured_on_a_gpu_and_give_the_same(kind: str, tmp_path: Path) -> None:
    model = of_transformers(kind, tmp_path / "net", semantic=kind == "segformer")
    captured_as_eager(model.module, model.name)


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("kind", "make"), [("ssd", detectors.Ssd), ("retinanet", detectors.Dense), ("fcos", detectors.Fcos)]
)
def test_so_are_dense_detectors_of_torchvision(kind: str, make: Any) -> None:
    captured_as_eager(make(torchvision_network(kind, 64), range(1, 5), (64, 64), lambda *_: None), kind, ordered=False)


def captured_as_eager(module: nn.Module, name: str, *, ordered: bool = True) -> None:
    """`ordered`: rounding does not decide which of its candidates comes first."""
    given = np.random.default_rng(1).random((2, 3, 64, 64), dtype=np.float32)
    with torch.inference_mode():
        wanted = copy.deepcopy(module)(torch.from_numpy(given))
    network_ = TorchNetwork(module, name=name, input_size=(64, 64), device=cuda_device())
    eager = network_.compile(precision="f32", execution="eager", largest=2)(given)
    for key, values in wanted.items():
        if ordered:
            np.testing.assert_allclose(eager[key], values.numpy(), rtol=2e-3, atol=2e-3)
        elif key == "scores":
            np.testing.assert_allclose(np.sort(eager[key]), np.sort(values.numpy()), rtol=2e-3, atol=2e-3)
    captured = network_.compile(precision="f32", execution="graph", largest=2)
    captured.warm_up()
    for _ in range(3):  # the constants of a replay are still there
        for key, values in captured(given).items():
            np.testing.assert_allclose(values, eager[key], rtol=1e-4, atol=1e-4)


def orders() -> Iterator[Sequence[Frame]]:
    """Frames of four sizes, and the same the other way round."""
    yield clip()
    yield clip()[::-1]


@pytest.mark.parametrize("kind", ["boxes", "queries"])
def test_what_follows_the_networks_copies_nothing_for_a_new_order_of_sources(kind: str) -> None:
    boxes = BoxReader(score_threshold=0.1, suppress=SuppressConfig(max_detections=5), class_count=2)
    classes = Classes(("even", "odd"), ("sky",))
    queries = network(LevelQueries(), "corner", names=classes.names, gives="panoptic")
    spec, frames = queries.picture, orders()
    shown = torch.zeros(4, 3, spec.height, spec.width, device=META)
    modules = [module.to(META) for module in (Cells(), Brightness(), queries.module)]
    found, logits, masks = (module(shown) for module in modules)
    reader: Any = BoxesWithMaps(boxes, classes, beside=spec, semantic_labels=[2, None, 0])
    if kind == "queries":
        reader = Queries(spec, classes, score_threshold=0.1)

    def read() -> None:
        given = next(frames)
        placements = tuple(place(one.width, one.height, spec) for one in given)
        first = Looked(masks if kind == "queries" else found, placements)
        reader(first, None if kind == "queries" else Looked(logits, placements), given)

    read()
    assert copies_of(read) == []
