"""The merge of batches on a device against the plain Python of test_merge_reference, in torch and in Triton."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.messages import Classes, Detections, PanopticMap, Transform
from stages.segment import batched, batched_masks
from stages.segment.fetch import pack, things_of, unpack
from stages.segment.merge import channel_labels, label_pixels, merge_prototypes, merge_queries
from tests.kernels import INTERPRETED, compiled_size, torch_device, without_waiting
from tests.stages.segment import test_merge_reference as slow

CLASSES, OPTIONS = slow.CLASSES, slow.OPTIONS
TRANSFORM = Transform(4.0, 3.0, 2.5, -1.0)
CPU = torch.device("cpu")
NO_CLASS = Classes((), ())


def on_host(
    merged: batched.Merged, *, classes: Classes = CLASSES, transform: Transform = TRANSFORM
) -> list[PanopticMap]:
    packed, shape = pack(merged, runs_a_row=1000)
    assert packed.numel() == shape.size
    maps = unpack(packed.cpu().numpy(), shape, classes=classes, transforms=[transform] * len(merged.ids))
    assert maps is not None
    return maps


def frames(seed: int, *, count: int = 3, shape: tuple[int, int] = (9, 13)) -> list[tuple[Any, ...]]:
    """Frames of one size: masks [N, h, w], detections, labels of pixels; some without detections, some scores equal."""
    rng = np.random.default_rng(seed)
    made = []
    for n in rng.integers(0, 9, count):
        masks = rng.random((n, *shape)) < rng.uniform(0, 0.6, (n, 1, 1))
        scores = rng.choice(np.array([0.2, 0.3, 0.5, 0.8, 0.9], np.float32), n)
        detections = Detections.of(np.zeros((n, 4), np.float32), scores, rng.integers(0, 3, n).astype(np.int32))
        made.append((masks, detections, rng.integers(-1, 5, shape).astype(np.int32)))
    return made


def merged_masks(given: list[tuple[Any, ...]], device: torch.device, implementation: Any) -> list[PanopticMap]:
    longest = max(len(detections) for _, detections, _ in given)
    shape = given[0][2].shape
    masks = torch.zeros((len(given), longest, *shape), dtype=torch.bool)
    scores, labels = torch.zeros(len(given), longest), torch.zeros(len(given), longest, dtype=torch.int32)
    for i, (own, detections, _) in enumerate(given):
        count = len(detections)
        masks[i, :count] = torch.from_numpy(own)
        masks[i, count:] = True  # what fills a frame up takes no part, whatever it covers
        scores[i, :count], labels[i, :count] = map(torch.from_numpy, (detections.scores, detections.labels))
    label_at = torch.from_numpy(np.stack([label_at for _, _, label_at in given]))
    return on_host(
        batched.merge_masks(
            *(tensor.to(device) for tensor in (masks, scores, labels, label_at)),
            classes=CLASSES,
            implementation=implementation,
            **OPTIONS,
        )
    )


def check_masks(seed: int, device: torch.device, implementation: Any, **how: Any) -> None:
    given = frames(seed, **how)
    for out, (masks, detections, label_at) in zip(merged_masks(given, device, implementation), given, strict=True):

        def mask_of(n: int, masks: Any = masks) -> slow.Mask:
            return {(int(y), int(x)) for y, x in np.argwhere(masks[n])}

        slow.check(out, slow.slow_merge(mask_of, detections, label_at), detections)


@pytest.mark.parametrize("seed", range(12))
def test_masks(seed: int, tensor_device: torch.device) -> None:
    check_masks(seed, tensor_device, "torch")


@pytest.mark.parametrize("seed", range(3 if INTERPRETED else 12))
def test_masks_in_the_kernels(seed: int, kernel_device: torch.device) -> None:
    check_masks(seed, kernel_device, "triton", count=2)


def test_a_map_of_several_blocks_in_the_kernels(kernel_device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    from stages.segment import painting_kernel

    monkeypatch.setattr(painting_kernel, "_WORDS", 4)
    monkeypatch.setattr(painting_kernel, "_PACKED", 4)
    monkeypatch.setattr(painting_kernel, "_PIXELS", 128)
    check_masks(3, kernel_device, "triton", count=1, shape=(17, 19))  # 323 pixels, 11 words


def queries(seed: int, *, count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Mask logits [B, Q, h, w] and class logits [B, Q, C + 1]; the last frame has nothing that means an object."""
    rng = np.random.default_rng(seed)
    size, h, w = (int(n) for n in rng.integers(1, 9, 3))
    masks = rng.normal(0, 2, (count, size, h, w)).astype(np.float32)
    class_logits = rng.normal(0, 2, (count, size, len(CLASSES.names) + 1)).astype(np.float32)
    class_logits[:, size // 2] = class_logits[:, 0]  # equal scores
    masks[:, size // 2] = masks[:, 0]
    class_logits[-1, :, -1] = 20
    return masks, class_logits


def check_queries(
    seed: int, device: torch.device, implementation: Any, *, dtype: Any = torch.float32, scale: int = 1
) -> None:
    masks, class_logits = (torch.from_numpy(array).to(dtype) for array in queries(seed))
    options: dict[str, Any] = {"score_threshold": 0.4, "min_visible": 0.3, "scale": scale}
    outs = on_host(
        batched.merge_queries(
            masks.to(device), class_logits.to(device), classes=CLASSES, implementation=implementation, **options
        ),
        transform=Transform(
            TRANSFORM.scale_x / scale, TRANSFORM.scale_y / scale, TRANSFORM.offset_x, TRANSFORM.offset_y
        ),
    )
    for out, own, chances in zip(outs, masks.float().numpy(), class_logits.float().numpy(), strict=True):
        _, things = merge_queries(own, chances, classes=CLASSES, transform=TRANSFORM, **options)
        slow.check(out, slow.slow_queries(slow.enlarged(own, scale), chances, 0.4, 0.3), things)
        for column in ("boxes", "scores", "labels"):
            assert getattr(things_of(out), column).tolist() == getattr(things, column).tolist()


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("seed", range(10))
def test_queries(seed: int, scale: int, tensor_device: torch.device) -> None:
    check_queries(seed, tensor_device, "torch", scale=scale)


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("seed", range(2 if INTERPRETED else 10))
def test_queries_in_the_kernel(seed: int, scale: int, kernel_device: torch.device) -> None:
    check_queries(seed, kernel_device, "triton", dtype=[torch.float32, torch.bfloat16][seed % 2], scale=scale)


def test_queries_in_half_precision(tensor_device: torch.device) -> None:
    check_queries(7, tensor_device, "torch", dtype=torch.bfloat16)


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("seed", range(6))
def test_prototypes_and_labels_as_on_the_cpu(seed: int, scale: int, tensor_device: torch.device) -> None:
    semantic, prototypes, detections = slow.scene(np.random.default_rng(seed), 4)
    rows, columns = semantic.valid_height, semantic.valid_width
    labels = channel_labels(slow.CHANNELS, CLASSES)
    label_at = label_pixels(semantic, labels, scale=scale)
    expected = merge_prototypes(prototypes, detections, label_at, classes=CLASSES, scale=scale, **OPTIONS)
    valid = torch.from_numpy(semantic.logits[None, :, :rows, :columns]).to(tensor_device)
    shown = batched_masks.label_pixels(valid, labels.tolist(), scale=scale)
    assert shown[0].tolist() == label_at.tolist()  # whole numbers at scales that are powers of two are exact
    assert detections.coefficients is not None
    masks = batched_masks.prototype_masks(
        torch.from_numpy(prototypes.masks[None, :, :rows, :columns]).to(tensor_device),
        torch.from_numpy(detections.coefficients[None]).to(tensor_device),
        torch.from_numpy(expected.transform.invert(detections.boxes)[None]).to(tensor_device),
        scale=scale,
    )
    columns_of = (torch.from_numpy(column[None]).to(tensor_device) for column in (detections.scores, detections.labels))
    (out,) = on_host(
        batched.merge_masks(masks, *columns_of, shown, classes=CLASSES, **OPTIONS), transform=expected.transform
    )
    assert np.array_equal(out.ids, expected.ids)
    for column in ("labels", "detection_index", "areas", "boxes", "scores"):
        assert getattr(out.segments, column).tolist() == getattr(expected.segments, column).tolist()


@pytest.mark.parametrize("seed", range(10))
def test_boxes(seed: int, tensor_device: torch.device) -> None:
    semantic, _, detections = slow.scene(np.random.default_rng(seed), 1)
    label_at = label_pixels(semantic, channel_labels(slow.CHANNELS, CLASSES))
    boxes = semantic.transform.invert(detections.boxes)
    labels = torch.from_numpy(detections.labels[None]).to(tensor_device)
    at = torch.from_numpy(label_at[None]).to(tensor_device)
    masks = batched_masks.box_masks(at, torch.from_numpy(boxes[None]).to(tensor_device), labels)
    scores = torch.from_numpy(detections.scores[None]).to(tensor_device)
    (out,) = on_host(
        batched.merge_masks(masks, scores, labels, at, classes=CLASSES, **OPTIONS), transform=semantic.transform
    )

    def mask_of(n: int) -> slow.Mask:
        return {p for p in slow.in_box(boxes[n], label_at.shape) if label_at[p] == detections.labels[n]}

    slow.check(out, slow.slow_merge(mask_of, detections, label_at), detections)


def test_masks_of_boxes_are_pasted(tensor_device: torch.device) -> None:
    side, height, width = 7, 11, 13
    rng = np.random.default_rng(0)
    probabilities = rng.random((2, 3, side, side)).astype(np.float32)
    boxes = np.array([[-2, 1, 9, 12], [3.3, 2.2, 7.7, 4.4], [20, 20, 30, 30]], np.float32)
    given = torch.from_numpy(probabilities).to(tensor_device), torch.from_numpy(boxes).expand(2, 3, 4).to(tensor_device)
    pasted = batched_masks.pasted_masks(*given, height=height, width=width).cpu().numpy()
    for frame, n, y, x in np.ndindex(pasted.shape):
        left, top, right, bottom = boxes[n].tolist()
        row = (y + 0.5 - top) / (bottom - top) * side - 0.5
        column = (x + 0.5 - left) / (right - left) * side - 0.5
        value = sum(
            float(probabilities[frame, n, i, j]) * max(0.0, 1 - abs(row - i)) * max(0.0, 1 - abs(column - j))
            for i, j in np.ndindex(side, side)
        )
        assert pasted[frame, n, y, x] == (value > 0.5) or value == pytest.approx(0.5, abs=1e-5)


def test_channels_that_take_no_part_win_nothing(tensor_device: torch.device) -> None:
    logits = torch.tensor([[[[9.0, 9.0]], [[1.0, 0.0]], [[0.0, 1.0]]]], device=tensor_device)
    labels = channel_labels([0, 3, 4], CLASSES, leftover="stuff")
    assert batched_masks.label_pixels(logits, labels.tolist()).tolist() == [[[3, 4]]]
    assert batched_masks.label_pixels(logits, [-2, -2, -2]).tolist() == [[[-1, -1]]]


@pytest.mark.parametrize("implementation", ["torch", "auto"])
def test_nothing(implementation: Any, tensor_device: torch.device) -> None:
    """No frame, no detection, no query, no class: maps of void, tables without rows."""

    def zeros(*shape: int) -> torch.Tensor:
        return torch.zeros(shape, device=tensor_device)

    def masks(frames: int, count: int, classes: Classes) -> batched.Merged:
        columns = zeros(frames, count, 4, 5).bool(), zeros(frames, count), zeros(frames, count).int()
        label_at = zeros(frames, 4, 5).int() - 1
        return batched.merge_masks(*columns, label_at, classes=classes, implementation=implementation)

    for merged in (
        masks(2, 0, CLASSES),
        masks(0, 3, CLASSES),
        masks(2, 3, NO_CLASS),
        batched.merge_queries(zeros(2, 0, 4, 5), zeros(2, 0, 6), classes=CLASSES, implementation=implementation),
        batched.merge_queries(zeros(0, 3, 4, 5), zeros(0, 3, 6), classes=CLASSES, implementation=implementation),
    ):
        assert merged.counts.tolist() == [0] * len(merged.ids)
        for out in on_host(merged):
            assert not out.ids.any()
            assert len(out.segments) == 0


class _Waits(TorchDispatchMode):
    """Counts what would make the host wait for a device."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(word in str(func) for word in ("_local_scalar_dense", "nonzero", "is_nonzero", "unique", "_to_copy")):
            out = func(*args, **(kwargs or {}))
            if "_to_copy" not in str(func) or out.device != args[0].device:
                self.seen.append(str(func))
            return out
        return func(*args, **(kwargs or {}))


@contextmanager
def nothing_waited_for() -> Iterator[None]:
    with _Waits() as waits:
        yield
    assert waits.seen == []


def test_nothing_is_waited_for_as_told_by_the_operators() -> None:
    work_of_a_batch(CPU)  # makes the constants that are kept
    with nothing_waited_for():
        work_of_a_batch(CPU)
    with pytest.raises(AssertionError), nothing_waited_for():
        torch.ones(3).sum().item()


@pytest.mark.gpu
@pytest.mark.parametrize("implementation", ["torch", "triton"])
def test_nothing_is_waited_for(implementation: Any) -> None:
    device = torch_device("cuda")
    without_waiting(lambda: work_of_a_batch(device, implementation=implementation))


def work_of_a_batch(device: torch.device, *, implementation: Any = "torch") -> None:
    generator = torch.Generator(device).manual_seed(0)

    def some(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, device=device)

    label_at = batched_masks.label_pixels(some(2, 5, 12, 16), [0, 2, 3, -1, 4], scale=2)
    corners = some(2, 20, 2).abs() * 8
    boxes = torch.cat([corners, corners + 12], 2)
    masks = batched_masks.prototype_masks(some(2, 8, 12, 16), some(2, 20, 8), boxes, scale=2)
    labels = some(2, 20).abs().long().clamp(max=2)
    pack(
        batched.merge_masks(
            masks, some(2, 20).sigmoid(), labels, label_at, classes=CLASSES, implementation=implementation
        )
    )
    pack(
        batched.merge_queries(
            some(2, 30, 12, 16), some(2, 30, 6) * 4, classes=CLASSES, score_threshold=0.5, implementation=implementation
        )
    )


def test_too_many_runs_for_the_room_are_told() -> None:
    masks = torch.zeros((1, 1, 2, 8), dtype=torch.bool)
    masks[..., ::2] = True
    merged = batched.merge_masks(
        masks, torch.ones(1, 1), torch.zeros(1, 1).int(), torch.full((1, 2, 8), -1), classes=CLASSES
    )
    for runs_a_row, enough in ((7, False), (8, True)):
        packed, shape = pack(merged, runs_a_row=runs_a_row)
        maps = unpack(packed.numpy(), shape, classes=CLASSES, transforms=[TRANSFORM])
        assert (maps is not None) == enough


def test_misfits_are_named() -> None:
    with pytest.raises(ValueError, match=r"masks \[1, 2, 3, 4\], scores \[1, 3\]"):
        batched.merge_masks(
            torch.zeros(1, 2, 3, 4).bool(),
            torch.zeros(1, 3),
            torch.zeros(1, 3),
            torch.zeros(1, 3, 4),
            classes=CLASSES,
        )
    with pytest.raises(ValueError, match=r"class_logits is \[1, 2, 5\]; \[1, 2, 5 classes \+ 1\]"):
        batched.merge_queries(torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 5), classes=CLASSES)
    with pytest.raises(ValueError, match="logits have 2 channels; 3 are named"):
        batched_masks.label_pixels(torch.zeros(1, 2, 3, 4), [0, 1, 2])


@pytest.mark.skipif(INTERPRETED, reason="the interpreter compiles nothing")
@pytest.mark.parametrize(
    ("name", "pointers", "block", "warps"),
    [
        ("_pack", {"masks": "u8", "packed": "i32"}, 256, 4),
        (
            "_claim",
            {"packed": "i32", "order": "i64", "able": "u8", "max_overlap": "fp64", "taken": "i32", "given": "i64"},
            4096,
            8,
        ),
        ("_paint", {"masks": "u8", "order": "i64", "given": "i64", "ids": "i64"}, 1024, 4),
        (
            "_winner",
            {
                "logits": "bf16",
                "order": "i64",
                "scores": "fp64",
                "kept": "i64",
                "winner": "i64",
                "confident": "u8",
                "areas": "i64",
                "won": "i64",
                "painted": "i64",
            },
            1024,
            4,
        ),
    ],
)
def test_kernels_compile_for_a_gpu(
    name: str, pointers: dict[str, str], block: int, warps: int, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("triton")
    from stages.segment import painting_kernel

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = getattr(painting_kernel, name)
    constants = {"block": block} | ({"scale": 6} if name == "_winner" else {})
    assert compiled_size(kernel, pointers=pointers, constants=constants, warps=warps) > 0
