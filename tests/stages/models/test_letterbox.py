"""Letterboxing on a device: against the CPU's preprocessing, the torch reference, and what must not be touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.messages import Surface
from stages.models.backend import Normalisation
from stages.models.letterbox import halvings, letterbox, nv12_planes
from stages.models.preprocess import InputSpec, Preprocessor, resize
from tests.kernels import INTERPRETED, compiled_size, torch_device, without_waiting
from tests.stages.models.test_preprocess import surface

IMAGENET = Normalisation(mean=(123.675, 116.28, 103.53), deviation=(58.395, 57.12, 57.375))
MOST_LEVELS, MEAN_LEVELS = 3.0, 0.6  # what rounding each plane costs the CPU: see test_preprocess


@dataclass(frozen=True)
class Case:
    """A picture and what a network wants of it."""

    kind: Any
    height: int
    width: int
    fit: Any
    matrix: Any = "bt601"
    levels: Any = "limited"
    colours: Any = "rgb"
    to_width: int = 64
    to_height: int = 48

    @property
    def spec(self) -> InputSpec:
        return InputSpec(
            width=self.to_width, height=self.to_height, colours=self.colours, fit=self.fit, normalise=IMAGENET
        )

    @property
    def surface(self) -> Surface:
        return surface(self.kind, self.height, self.width, matrix=self.matrix, levels=self.levels)


CASES = [
    Case("nv12", 72, 128, "centre"),
    Case("nv12", 45, 83, "corner", "bt709"),  # odd sides
    Case("nv12", 216, 384, "stretch", "bt709", "full"),  # luma halved twice, chroma once
    Case("nv12", 37, 51, "centre", "bt601", "full", "bgr"),  # enlarged
    Case("yuv420p", 128, 66, "corner", "bt709", "limited", "bgr"),
    Case("yuv420p", 1, 1, "centre"),
    Case("nv12", 90, 2, "centre", to_width=33, to_height=31),  # a sliver
]


def planes_of(given: Surface, device: torch.device) -> list[torch.Tensor]:
    return [torch.from_numpy(np.ascontiguousarray(plane)).to(device) for plane in given.planes]


def boxed(case: Case, device: torch.device, *, implementation: Any, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """The case's picture [3, H, W], on the CPU."""
    out = torch.full((3, case.to_height, case.to_width), torch.nan, dtype=dtype, device=device)
    planes = planes_of(case.surface, device)
    letterbox(planes, out, case.spec, matrix=case.matrix, levels=case.levels, implementation=implementation)
    return out.cpu()


def levels_of(picture: torch.Tensor) -> np.ndarray:
    """Normalised [3, H, W] back as levels [H, W, 3]."""
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (IMAGENET.mean, IMAGENET.deviation))
    return (picture.float() * deviation + mean).permute(1, 2, 0).numpy()


@pytest.fixture
def whole_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the interpreter a program costs half a second whatever its size: one for the whole picture."""
    from stages.models import letterbox_kernel

    if INTERPRETED:
        monkeypatch.setattr(letterbox_kernel, "_ROWS", 64)
        monkeypatch.setattr(letterbox_kernel, "_COLUMNS", 64)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_reference_is_the_cpus_picture_unrounded(case: Case, tensor_device: torch.device) -> None:
    painted, placement = Preprocessor(case.spec)(case.surface)
    got = boxed(case, tensor_device, implementation="torch")
    error = np.abs(levels_of(got) - painted[0].astype(float))
    assert error.max() <= MOST_LEVELS
    assert error.mean() <= MEAN_LEVELS
    outside = np.ones(error.shape[:2], dtype=bool)
    outside[placement.top : placement.top + placement.height, placement.left : placement.left + placement.width] = False
    assert error[outside].max(initial=0.0) < 1e-4


@pytest.mark.parametrize("case", CASES[1:5] if INTERPRETED else CASES, ids=str)
@pytest.mark.usefixtures("whole_tiles")
def test_the_kernel_equals_the_reference(case: Case, kernel_device: torch.device) -> None:
    reference = boxed(case, torch.device("cpu"), implementation="torch")
    got = boxed(case, kernel_device, implementation="triton")
    assert torch.allclose(got, reference, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16] if INTERPRETED else [torch.float16, torch.bfloat16])
@pytest.mark.usefixtures("whole_tiles")
def test_the_kernel_rounds_to_half_precision_once(dtype: torch.dtype, kernel_device: torch.device) -> None:
    exact = boxed(CASES[0], torch.device("cpu"), implementation="torch")
    got = boxed(CASES[0], kernel_device, implementation="triton", dtype=dtype)
    assert got.dtype == dtype
    steps = 1.0 if INTERPRETED and dtype == torch.bfloat16 else 0.5  # the interpreter cuts bfloat16 off
    assert ((got.float() - exact).abs() <= steps * 1.01 * exact.abs() * torch.finfo(dtype).eps + 1e-5).all()


def test_tiles_meet(kernel_device: torch.device) -> None:
    case = Case("nv12", 18, 300, "centre", to_width=150, to_height=13)  # 2 x 2 tiles, the last ones cut off
    got = boxed(case, kernel_device, implementation="triton")
    assert torch.allclose(got, boxed(case, torch.device("cpu"), implementation="torch"), rtol=0, atol=1e-5)


def check_strides(device: torch.device, implementation: Any) -> None:
    """A surface with a pitch into one slot of a batch that is channels last; the other slots stay as they are."""
    case = CASES[1]
    y, uv = case.surface.planes
    rows, pitch = case.height + 3, 128  # the decoder keeps more rows than the picture has
    buffer = torch.full((rows + uv.shape[0], pitch), 255, dtype=torch.uint8)
    buffer[: case.height, : case.width] = torch.from_numpy(y)
    buffer[rows:, : 2 * uv.shape[1]] = torch.from_numpy(uv.reshape(len(uv), -1))
    batch = torch.full((3, 3, case.to_height, case.to_width), 7.0, device=device)
    batch = batch.contiguous(memory_format=torch.channels_last)
    planes = nv12_planes(buffer.to(device), width=case.width, height=case.height, luma_rows=rows)
    assert planes[0].stride() == (pitch, 1)
    letterbox(planes, batch[1], case.spec, matrix=case.matrix, levels=case.levels, implementation=implementation)
    expected = boxed(case, torch.device("cpu"), implementation="torch")
    assert torch.allclose(batch[1].cpu(), expected, rtol=0, atol=1e-5)
    assert (batch[::2] == 7.0).all()


def test_pitch_and_slot(tensor_device: torch.device) -> None:
    check_strides(tensor_device, "torch")


@pytest.mark.usefixtures("whole_tiles")
def test_pitch_and_slot_in_the_kernel(kernel_device: torch.device) -> None:
    check_strides(kernel_device, "triton")


@pytest.mark.usefixtures("whole_tiles")
def test_planes_of_different_pitch_in_the_kernel(kernel_device: torch.device) -> None:
    case = CASES[4]
    y, u, v = planes_of(case.surface, kernel_device)
    apart = torch.zeros((v.shape[0], v.shape[1] + 5), dtype=torch.uint8, device=kernel_device)
    apart[:, : v.shape[1]] = v
    out = torch.empty((3, case.to_height, case.to_width), device=kernel_device)
    options: dict[str, Any] = {"matrix": case.matrix, "levels": case.levels, "implementation": "triton"}
    letterbox((y, u, apart[:, : v.shape[1]]), out, case.spec, **options)
    assert torch.allclose(out.cpu(), boxed(case, torch.device("cpu"), implementation="torch"), rtol=0, atol=1e-5)


@pytest.mark.gpu
def test_nothing_is_waited_for() -> None:
    case, device = CASES[0], torch_device("cuda")
    planes = planes_of(case.surface, device)
    out = torch.empty((3, case.to_height, case.to_width), dtype=torch.bfloat16, device=device)
    for implementation in ("torch", "triton"):
        options: dict[str, Any] = {"matrix": case.matrix, "levels": case.levels, "implementation": implementation}
        without_waiting(lambda options=options: letterbox(planes, out, case.spec, **options))


@pytest.mark.parametrize("size", [(1080, 1920), (540, 960), (270, 480), (135, 241), (2160, 3840), (7, 7)])
@pytest.mark.parametrize("wanted", [(234, 416), (135, 240), (1080, 1920), (1, 1)])
def test_planes_are_halved_as_often_as_on_the_cpu(
    size: tuple[int, int], wanted: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    import cv2

    halved = 0
    real: Callable[..., Any] = cv2.resize

    def counted(*args: Any, interpolation: int) -> Any:
        nonlocal halved
        halved += interpolation == cv2.INTER_AREA
        return real(*args, interpolation=interpolation)

    monkeypatch.setattr(cv2, "resize", counted)
    resize(np.zeros(size, np.uint8), (wanted[1], wanted[0]))
    assert halvings(size, wanted) == halved


def test_misfits_are_named() -> None:
    spec = CASES[0].spec
    y, uv = torch.zeros(8, 9, dtype=torch.uint8), torch.zeros(4, 5, 2, dtype=torch.uint8)
    out = torch.zeros(3, 48, 64)
    options: dict[str, Any] = {"matrix": "bt601", "levels": "full"}
    with pytest.raises(ValueError, match=r"planes have shapes \[\(8, 9\), \(4, 4\), \(4, 4\)\]"):
        letterbox([y, uv[:, :4]], out, spec, **options)
    with pytest.raises(ValueError, match="uint8 on one device"):
        letterbox([y.float(), uv], out, spec, **options)
    with pytest.raises(ValueError, match=r"out is torch.float32 \[3, 48, 60\]"):
        letterbox([y, uv], out[..., :60], spec, **options)
    with pytest.raises(ValueError, match="implementation is 'cuda'; one of auto, torch, triton"):
        letterbox([y, uv], out, spec, implementation="cuda", **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"buffer is \[11, 10\] with chroma from row 8; at least \[12, 10\]"):
        nv12_planes(torch.zeros(11, 10, dtype=torch.uint8), width=9, height=8)


@pytest.mark.skipif(INTERPRETED, reason="the interpreter compiles nothing")
def test_the_kernel_compiles_for_a_gpu(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    from stages.models.letterbox_kernel import _letterbox

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    pointers = {"luma": "u8", "blue": "u8", "red": "u8", "out": "bf16", "constants": "fp32"}
    assert compiled_size(_letterbox, pointers=pointers, constants={"tile_rows": 8, "tile_columns": 128}) > 0
