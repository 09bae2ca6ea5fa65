"""Suppression of batches of tensors equals a frame at a time in compiled loops, on every device and in the kernel."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch

from stages.suppress import CANDIDATES, Method, suppress
from stages.suppress.batched import Kept, suppress_batch
from tests.kernels import INTERPRETED, compiled_size
from tests.stages.suppress.test_suppress import PAIR, crowd

ALL_METHODS = get_args(Method)
IN_KERNEL = [method for method in ALL_METHODS if method != "matrix"]
CPU = torch.device("cpu")


def batch_of(frames: list[tuple[np.ndarray, ...]], device: torch.device) -> tuple[torch.Tensor, ...]:
    """Boxes, scores and labels of frames, filled up to the longest with scores of 0."""
    longest = max(len(scores) for _, scores, _ in frames)
    columns = []
    for arrays in zip(*frames, strict=True):
        filled = [np.concatenate([a, np.zeros((longest - len(a), *a.shape[1:]), a.dtype)]) for a in arrays]
        columns.append(torch.from_numpy(np.stack(filled)).to(device))
    return tuple(columns)


def check(kept: Kept, frames: list[tuple[np.ndarray, ...]], **options: Any) -> None:
    """Every frame as `suppress` has it, and nothing past its last row."""
    for i, frame in enumerate(frames):
        rows, left = suppress(*frame, **options)
        count = len(rows)
        assert kept.counts[i] == count
        assert kept.rows[i, :count].tolist() == rows.tolist()
        assert kept.scores[i, :count].tolist() == pytest.approx(left.tolist(), abs=1e-5)
        assert (kept.rows[i, count:] == -1).all()
        assert (kept.scores[i, count:] == 0).all()


def scenes(seed: int, sizes: tuple[int, ...]) -> tuple[list[tuple[np.ndarray, ...]], dict[str, Any]]:
    rng = np.random.default_rng(seed)
    frames = [crowd(rng, size) for size in sizes]
    for boxes, scores, _ in frames:
        if len(scores) > 20:
            boxes[3, 1], boxes[4, 2], scores[5], scores[6] = np.nan, np.inf, np.nan, 0.0
            boxes[8:11] = boxes[8]
            scores[8:11] = scores[8]  # equal in all
    options = {
        "sigma": float(rng.uniform(0.2, 1.0)),
        "iou_threshold": float(rng.uniform(0.2, 0.8)),
        "score_threshold": [0.0, 0.05, 0.3][seed % 3],
        "max_detections": [1000, 12][seed % 2],
        "class_agnostic": seed == 2,
    }
    return frames, options


@pytest.mark.parametrize("method", ALL_METHODS)
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_compiled_loops(method: Method, seed: int, tensor_device: torch.device) -> None:
    frames, options = scenes(seed, [(300, 1, 0, 77), (40,), (2, 3), (150, 149)][seed])
    kept = suppress_batch(*batch_of(frames, tensor_device), method=method, implementation="torch", **options)
    check(kept, frames, method=method, **options)


@pytest.mark.parametrize("method", IN_KERNEL)
@pytest.mark.parametrize("seed", range(2 if INTERPRETED else 3))
def test_the_kernel_equals_the_compiled_loops(method: Method, seed: int, kernel_device: torch.device) -> None:
    frames, options = scenes(seed, [(25, 0), (30, 1)][seed] if INTERPRETED else (300, 0, 17, 200))
    kept = suppress_batch(*batch_of(frames, kernel_device), method=method, implementation="triton", **options)
    check(kept, frames, method=method, **options)


@pytest.mark.parametrize("method", IN_KERNEL)
def test_a_threshold_is_the_number_it_is_written_as(method: Method, kernel_device: torch.device) -> None:
    # 7/10 of each other: not above 0.7, though the nearest float32 is below it.
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 7]], dtype=np.float32)
    frame = boxes, np.array([0.9, 0.7], np.float32), np.zeros(2, np.int32)
    options = {"iou_threshold": 0.7, "score_threshold": 0.7, "method": method}
    check(suppress_batch(*batch_of([frame], kernel_device), implementation="triton", **options), [frame], **options)


@pytest.mark.parametrize("method", ALL_METHODS)
def test_the_best_candidates_alone_take_part(method: Method, tensor_device: torch.device) -> None:
    count = CANDIDATES + 200
    left = np.arange(count, dtype=np.float32) * 3
    frame = (
        np.stack([left, left * 0, left + 4, left * 0 + 4], axis=1),
        np.random.default_rng(0).permutation(np.linspace(0.2, 0.9, count, dtype=np.float32)),
        np.zeros(count, np.int32),
    )
    options = {"method": method, "max_detections": 30}
    check(suppress_batch(*batch_of([frame, frame], tensor_device), **options), [frame, frame], **options)


@pytest.mark.parametrize("method", ALL_METHODS)
@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0, 0)])
def test_nothing(method: Method, shape: tuple[int, int], tensor_device: torch.device) -> None:
    scores = torch.zeros(shape, device=tensor_device)
    kept = suppress_batch(scores.new_zeros(*shape, 4), scores, scores.int(), method=method)
    assert kept.rows.shape == kept.scores.shape == shape
    assert kept.counts.tolist() == [0] * shape[0]


def test_half_precision_scores_are_taken(tensor_device: torch.device) -> None:
    boxes = torch.from_numpy(PAIR)[None].to(tensor_device).half()
    scores = torch.tensor([[0.9, 0.8, 0.5]], dtype=torch.bfloat16, device=tensor_device)
    assert suppress_batch(boxes, scores, torch.zeros_like(scores).int()).rows[0, :3].tolist() == [0, 1, 2]


def test_arguments_are_not_changed(tensor_device: torch.device) -> None:
    given = batch_of([crowd(np.random.default_rng(0), 50)], tensor_device)
    before = [tensor.clone() for tensor in given]
    for method in ALL_METHODS:
        suppress_batch(*given, method=method)
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))


def test_misfits_are_named() -> None:
    boxes, scores = torch.zeros(1, 3, 4), torch.zeros(1, 3)
    with pytest.raises(ValueError, match="method is 'medium'; one of soft-gaussian"):
        suppress_batch(boxes, scores, scores, method="medium")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"boxes \[1, 3, 4\], scores \[1, 2\], labels \[1, 3\]"):
        suppress_batch(boxes, scores[:, :2], scores)


@pytest.mark.gpu
def test_nothing_is_waited_for() -> None:
    from tests.kernels import torch_device, without_waiting

    given = batch_of([crowd(np.random.default_rng(0), 300)], torch_device("cuda"))
    for method in ALL_METHODS:
        without_waiting(lambda method=method: suppress_batch(*given, method=method))


@pytest.mark.skipif(INTERPRETED, reason="the interpreter compiles nothing")
def test_the_kernel_compiles_for_a_gpu(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    from stages.suppress.batched_kernel import _decay

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    pointers = {"boxes": "fp32", "scores": "fp32", "labels": "i32", "parameters": "fp64", "rows": "i64", "kept": "fp32"}
    constants = {"gaussian": True, "hard": False, "block": 512}
    assert compiled_size(_decay, pointers=pointers, constants=constants) > 0
