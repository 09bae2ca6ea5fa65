"""Attention that samples maps, and pictures that are halved: the kernels, torch, and the libraries' own agree."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.models.zoo.deformable import Attention, Sampling, sample, sample_in_kernels, sample_of_each
from stages.models.zoo.halving import Halving, halve_in_kernels, halved
from tests.kernels import compiled_size
from tests.stages.models.zoo.tiny import transformers_folder

SHAPES = [(9, 13), (5, 7), (1, 2)]


def drawn(*, size: int, points: list[int], seed: int = 1, queries: int = 21) -> tuple[Tensor, Tensor, Tensor]:
    """Maps, places in and around them, some of them on pixels and edges or far off, and weights."""
    generator = torch.Generator().manual_seed(seed)
    positions, count = sum(h * w for h, w in SHAPES), sum(points)
    value = torch.randn(2, positions, 3, size, generator=generator)
    locations = torch.rand(2, queries, 3, count, 2, generator=generator) * 1.6 - 0.3
    locations[0, 0] = torch.tensor([0.0, 1.0])
    locations[0, 1] = torch.tensor([0.5 / 13, 8.5 / 9])  # a pixel's centre
    locations[0, 2] = torch.tensor([1e6, -1e6])
    weights = torch.randn(2, queries, 3, count, generator=generator).softmax(-1)
    return value, locations, weights


def by_hand(value: Tensor, locations: Tensor, weights: Tensor, points: list[int]) -> Tensor:
    """The weighted sum of samples, a point at a time."""
    frames, queries, heads, _, _ = locations.shape
    found = torch.zeros(frames, queries, heads, value.shape[3], dtype=torch.float64)
    for b in range(frames):
        for q in range(queries):
            for h in range(heads):
                first = point = 0
                for (height, width), count in zip(SHAPES, points, strict=True):
                    pixels = value[b, first : first + height * width, h].double().view(height, width, -1)
                    for _ in range(count):
                        x, y = (locations[b, q, h, point].double() * torch.tensor([width, height]) - 0.5).tolist()
                        for row in range(height):
                            for column in range(width):
                                share = max(0.0, 1 - abs(y - row)) * max(0.0, 1 - abs(x - column))
                                if share:
                                    found[b, q, h] += weights[b, q, h, point].double() * share * pixels[row, column]
                        point += 1
                    first += height * width
    return found.flatten(2)


@pytest.mark.parametrize("points", [[2, 2, 2], [1, 3, 2]])
def test_samples_are_bilinear_and_nothing_lies_outside(points: list[int]) -> None:
    value, locations, weights = drawn(size=4, points=points, queries=5)
    found = sample(value, SHAPES, locations, weights, points)
    torch.testing.assert_close(found.double(), by_hand(value, locations, weights, points), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("size", "points", "dtype"),
    [(4, [1, 3, 2], torch.float32), (6, [2, 2, 2], torch.float32), (32, [1, 3, 2], torch.float16)],
)
def test_the_kernel_samples_alike(
    kernel_device: torch.device, size: int, points: list[int], dtype: torch.dtype
) -> None:
    given = [one.to(kernel_device, dtype) for one in drawn(size=size, points=points)]
    value, locations, weights = given
    locations.clamp_(-100, 100)  # a half knows no million
    wanted = sample(value.float(), SHAPES, locations.float(), weights.float(), points, implementation="torch")
    found = sample(value, SHAPES, locations, weights, points, implementation="triton")
    assert found.dtype == dtype
    torch.testing.assert_close(
        found.float(), wanted, **({} if dtype == torch.float32 else {"atol": 4e-3, "rtol": 4e-3})
    )


def test_the_kernel_bears_what_lies_far_off_and_no_queries(kernel_device: torch.device) -> None:
    value, locations, weights = (one.to(kernel_device) for one in drawn(size=8, points=[1, 1, 1]))
    options: Any = {"points": [1, 1, 1], "implementation": "triton"}
    wanted = sample(value, SHAPES, locations, weights, [1, 1, 1], implementation="torch")
    torch.testing.assert_close(sample(value, SHAPES, locations, weights, **options), wanted)
    assert sample(value, SHAPES, locations[:, :0], weights[:, :0], **options).shape == (2, 0, 24)
    locations[0, 3] = float("nan")
    found = sample(value, SHAPES, locations, weights, **options)
    torch.testing.assert_close(found[1], wanted[1])


@pytest.mark.parametrize("shape", [(1, 3, 2, 2), (2, 5, 8, 6), (3, 64, 10, 14)])
def test_the_kernel_halves_alike(kernel_device: torch.device, shape: tuple[int, ...]) -> None:
    pictures = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(kernel_device)
    pictures = pictures.to(memory_format=torch.channels_last)
    found = halved(pictures)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, F.avg_pool2d(pictures, 2))


@pytest.mark.parametrize("size", [(7, 8), (1, 1), (6, 4)])
def test_odd_sides_end_in_the_mean_of_what_there_is(size: tuple[int, int]) -> None:
    pictures = torch.randn(2, 3, *size)
    torch.testing.assert_close(Halving()(pictures), nn.AvgPool2d(2, 2, 0, ceil_mode=True)(pictures))


@pytest.mark.parametrize("kind", ["rt_detr_v2", "d_fine", "rf_detr"])
@torch.inference_mode()
def test_networks_of_transformers_give_what_they_gave(kind: str, tmp_path: Path) -> None:
    import transformers

    folder = transformers_folder(kind, tmp_path / "net")
    config = transformers.AutoConfig.from_pretrained(folder)
    network = getattr(transformers, config.architectures[0]).from_pretrained(folder).eval()
    generator = torch.Generator().manual_seed(4)
    for module in network.modules():
        if hasattr(module, "sampling_offsets"):
            for name in ("sampling_offsets", "attention_weights"):
                layer = getattr(module, name)
                layer.weight.data.normal_(std=0.5, generator=generator)
                layer.bias.data.normal_(generator=generator)
    plain = copy.deepcopy(network)
    assert sample_in_kernels(network) == 2, "as many as the decoder has layers"
    assert (halve_in_kernels(network) > 0) == (kind == "rt_detr_v2")
    changed = [one for one in network.modules() if isinstance(one, Attention | Sampling)]
    cores = [getattr(one, "ms_deformable_attn_core", None) for one in network.modules()]
    assert len(changed) + cores.count(sample_of_each) == 2
    given = torch.rand(2, 3, 64, 64, generator=generator)
    ours, theirs = network(given), plain(given)
    for name in ("logits", "pred_boxes"):
        torch.testing.assert_close(ours[name], theirs[name], atol=1e-5, rtol=1e-4)


def test_what_samples_otherwise_stays(tmp_path: Path) -> None:
    import transformers

    config = transformers.AutoConfig.from_pretrained(transformers_folder("rt_detr_v2", tmp_path / "net"))
    config.decoder_method = "discrete"
    assert sample_in_kernels(transformers.RTDetrV2ForObjectDetection(config)) == 0


@pytest.mark.parametrize("pool", [nn.AvgPool2d(2, 2), nn.AvgPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(2, 1)])
def test_other_pools_stay(pool: nn.Module) -> None:
    assert halve_in_kernels(nn.Sequential(pool)) == 0


def test_the_kernels_compile_for_a_gpu(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    from stages.models.zoo.kernels import _halve, _sample

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    halves = dict.fromkeys(("value", "locations", "weights", "out"), "fp16")
    constants = {"points": 12, "queries_a_program": 16, "block": 32}
    assert compiled_size(_sample, pointers={**halves, "table": "i32"}, constants=constants) > 0
    assert compiled_size(_halve, pointers={"pictures": "fp16", "out": "fp16"}, constants={"values": 1024}) > 0
