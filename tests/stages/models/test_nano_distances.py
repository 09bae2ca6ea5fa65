"""Boxes told by distributions of distances: decoding, the start, learning, and an export without them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.models.labelled.sample import FIRST_OBJECT, Sample
from stages.models.nano.network import (
    NEAREST_DISTANCE,
    Nano,
    NanoConfig,
    anchor_points,
    bin_distances,
    decode_distances,
)
from stages.models.training.losses import total_loss
from stages.models.training.optimiser import make_optimiser
from stages.models.training.targets import collate

TINY = NanoConfig(coefficients=8, widths=(8, 8, 16, 16, 16), depths=(1, 1, 1, 1), pyramid=16, mask_width=16)
BINNED = replace(TINY, bins=10)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Layers this small are over before two threads have met."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_decoding_by_hand() -> None:
    assert bin_distances(3).tolist() == [-1, 0, 1, 2]
    logits = torch.full((1, 4, 4), -100.0)
    logits[0, 0, 2] = 0.0  # left: 1 stride
    logits[0, 1, 0] = 0.0  # top: -1, the box begins below the cell's centre
    logits[0, 2, 1] = logits[0, 2, 3] = 0.0  # right: half 0, half 2
    logits[0, 3, 2] = logits[0, 3, 3] = 0.0  # bottom: half 1, half 2
    logits[0, 3, 3] += math.log(3)  # a quarter 1, three quarters 2
    boxes = decode_distances(logits, torch.tensor([[20.0, 12.0, 8.0]]))
    assert boxes.tolist() == [pytest.approx([12, 20, 28, 26])]


def test_wild_distances_stay_finite() -> None:
    logits = (1e4 * torch.randn(2, 7, 4, 9)).requires_grad_()
    boxes = decode_distances(logits, torch.rand(7, 3))
    assert torch.isfinite(boxes).all()
    assert torch.isfinite(torch.autograd.grad(boxes.sum(), logits)[0]).all()


def test_the_first_boxes_are_a_few_cells_wide() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        output = Nano(BINNED).eval()(torch.rand(1, 3, 64, 96) * 255)
    anchors = anchor_points(64, 96)
    assert output.distances is not None
    assert output.distances.shape == (1, len(anchors), 4, 11)
    sides = (output.boxes[0, :, 2:] - output.boxes[0, :, :2]) / anchors[:, 2:]
    assert sides.min() > 1.5
    assert sides.max() < 4
    assert torch.allclose(output.boxes[0], decode_distances(output.distances[0], anchors))


def test_without_bins_the_network_is_what_it_was() -> None:
    plain, binned = Nano(TINY).state_dict(), Nano(BINNED).state_dict()
    assert plain.keys() == binned.keys()
    changed = {name for name in plain if plain[name].shape != binned[name].shape}
    assert changed == {f"heads.{level}.locate.1.{part}" for level in range(3) for part in ("weight", "bias")}
    assert plain["heads.0.locate.1.weight"].shape[0] == 4 + 8
    with torch.no_grad():
        assert Nano(TINY).eval()(torch.zeros(1, 3, 32, 32)).distances is None


@pytest.mark.parametrize("bins", [-1, 1])
def test_too_few_bins_are_refused(bins: int) -> None:
    with pytest.raises(ValueError, match="it is 0, or 2 and more"):
        NanoConfig(bins=bins)


def test_boxes_are_learnt_by_their_distances() -> None:
    image, regions = np.full((64, 96, 3), 60, np.uint8), np.full((64, 96), 1, np.uint8)
    image[20:44, 30:70], regions[20:44, 30:70] = (220, 40, 40), FIRST_OBJECT
    boxes = np.array([[30, 20, 70, 44]], np.float32)
    batch = collate([Sample(image, regions, boxes, np.array([2]), np.ones(1, np.float32))] * 2, things=5)
    torch.manual_seed(0)
    network = Nano(BINNED).train()
    optimiser = make_optimiser(network, learning_rate=5e-3, weight_decay=0.0)
    history = []
    for _ in range(15):
        terms = total_loss(network(batch.images.float()), batch.targets)
        optimiser.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimiser.step()
        history.append({name: float(term.detach()) for name, term in terms.items()})
    assert set(history[0]) == {"classes", "boxes", "masks", "semantic", "distances"}
    for name, first in history[0].items():
        assert history[-1][name] < first, name
    assert history[-1]["distances"] < 0.9 * history[0]["distances"]


def test_an_exported_graph_gives_boxes_alone(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs onnxscript, of the train extra")
    import onnx

    from stages.models.exporting.deployed import OUTPUT_NAMES, Deployed
    from stages.models.exporting.folding import folded
    from stages.models.exporting.onnx_graph import onnx_model
    from stages.models.exporting.running import run_openvino

    torch.manual_seed(0)
    network = folded(Nano(BINNED).eval())
    onnx.save(onnx_model(Deployed(network).eval(), width=96, height=64), tmp_path / "tiny.onnx")
    pictures = torch.rand(2, 3, 64, 96) * 255
    given = run_openvino(tmp_path / "tiny.onnx", pictures.numpy())
    with torch.no_grad():
        expected = network(pictures).boxes.numpy()
    assert set(given) == set(OUTPUT_NAMES)
    assert given["boxes"].shape == expected.shape
    assert np.abs(given["boxes"] - expected).max() < 0.5


def test_a_cell_outside_of_a_tiny_object_can_describe_it() -> None:
    assert NEAREST_DISTANCE < 0
    logits = torch.full((1, 4, 11), -100.0)
    logits[0, [0, 1, 2, 3], [0, 2, 2, 2]] = 0.0  # left -1: the box lies one stride to the right
    boxes = decode_distances(logits, torch.tensor([[4.0, 4.0, 8.0]]))
    assert boxes.tolist() == [pytest.approx([12, -4, 12, 12])]
