"""Which of ONNX Runtime's execution providers run a graph on a GPU, with which options, and what was fallen back to."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import ModelError
from stages.models.backend import Precision
from stages.models.cache import cache_folder
from stages.models.devices import Device

Provider = Literal["auto", "cuda", "tensorrt"]
Options = dict[str, str]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"


class ProviderMissing(ModelError):  # noqa: N818 - reads as what happened, under a base that says Error
    """ONNX Runtime cannot use the GPU, where a CPU might do instead; crosses no API."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Providers for a session.

    Attributes:
        providers: names with options, the first to be asked for a node first.
        note: what runs the network, and what was fallen back to.
        first_start: what to tell people of a first start that takes long; empty where none does.
    """

    providers: tuple[tuple[str, Options], ...]
    note: str
    first_start: str = ""


def runtime() -> Any:
    """ONNX Runtime. Raises `ModelError` where it is not installed."""
    try:
        import onnxruntime
    except ImportError as exc:
        raise ModelError("backend 'onnxruntime' is not installed; pip install onnxruntime, or use openvino") from exc
    return onnxruntime


def load_libraries() -> None:
    """Have CUDA's and cuDNN's libraries loaded from their wheels, where the loader would not find them."""
    preload = getattr(runtime(), "preload_dlls", None)  # from 1.21 on
    if preload is not None:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it lacks; the session tells that better
            preload()


def absence(available: Sequence[str], version: str) -> str:
    """Why no graph can run on a GPU with these providers; empty where one can."""
    if CUDA in available:
        return ""
    there = ", ".join(available)
    return f"onnxruntime {version} is a build without CUDA (it has {there}); pip install onnxruntime-gpu in its place"


def choose_providers(
    asked: Provider,
    *,
    device: Device,
    precision: Precision,
    stream: int,
    available: Sequence[str],
    version: str,
    model_sha256: str,
    picture: tuple[int, int] = (0, 0),
) -> Chosen:
    """Providers for a graph on a CUDA device.

    Args:
        asked: the setting; `auto` is CUDA, which needs no engine built before the first result.
        device: `cuda:N`.
        precision: `f32` also keeps TF32 out; `fp16` is TensorRT's.
        stream: the CUDA stream to compute on, as an integer.
        available: what `onnxruntime.get_available_providers` gives.
        version: ONNX Runtime's.
        model_sha256: of the model's file, in hex.
        picture: height and width of what goes in.

    Raises:
        ProviderMissing: where this build has no CUDA provider.
        ModelError: when the precision is not to be had.
    """
    if why := absence(available, version):
        raise ProviderMissing(f"device {device.name}: {why}")
    tensorrt = asked == "tensorrt" and TENSORRT in available
    _check_precision(precision, tensorrt=tensorrt, asked=asked)
    index = device.name.partition(":")[2] or "0"
    common = {"device_id": index, "user_compute_stream": str(stream)}
    cuda = (CUDA, {**common, "use_tf32": "0" if precision == "f32" else "1"})
    if not tensorrt:
        lacking = f"; no TensorRT in onnxruntime {version}, which has {', '.join(available)}"
        return Chosen((cuda, (CPU, {})), f"CUDA provider{lacking if asked == 'tensorrt' else ''}")
    folder = engine_folder(model_sha256, version=version, precision=precision, picture=picture)
    engines = {"trt_fp16_enable": "1" if precision == "fp16" else "0"}
    first_start = "TensorRT builds its engine at each start, which may take minutes: the user's cache cannot be written"
    if folder is not None:
        engines |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(folder)}
        engines |= {"trt_timing_cache_enable": "1", "trt_timing_cache_path": str(folder)}
        built = any(folder.glob("*.engine"))
        first_start = "" if built else f"TensorRT builds its engine, which may take minutes; it is kept in {folder}"
    return Chosen(((TENSORRT, {**common, **engines}), cuda, (CPU, {})), "TensorRT provider", first_start)


def engine_folder(
    model_sha256: str, *, version: str, precision: Precision, picture: tuple[int, int] = (0, 0)
) -> Path | None:
    """Where TensorRT's engines of a model are kept; None where the user's cache cannot be written.

    An engine is of one version of everything that made it, and of one size of picture; the GPU is in the file's name.
    """
    try:
        built_with = metadata.version("tensorrt")
    except metadata.PackageNotFoundError:
        built_with = "system"
    made_of = f"{version}/{built_with}/{precision}/{picture[1]}x{picture[0]}"
    return cache_folder("tensorrt", f"{model_sha256[:16]}-{hashlib.sha256(made_of.encode()).hexdigest()[:8]}")


def settled(chosen: Chosen, running: Sequence[str], *, device: Device, version: str) -> Chosen:
    """What was chosen, as the session has it: a provider whose libraries are missing is left out of it.

    Raises `ProviderMissing` where CUDA's is.
    """
    if CUDA not in running:
        raise ProviderMissing(
            f"device {device.name}: the CUDA provider of onnxruntime {version} does not load; it needs the CUDA and "
            "cuDNN of its own version (pip install 'onnxruntime-gpu[cuda,cudnn]') and a driver that is not older"
        )
    left = tuple((name, options) for name, options in chosen.providers if name in running)
    if len(left) == len(chosen.providers):
        return chosen
    return Chosen(left, "CUDA provider; TensorRT's does not load, its libraries (libnvinfer) are missing")


def _check_precision(precision: Precision, *, tensorrt: bool, asked: Provider) -> None:
    if precision in ("auto", "f32") or (precision == "fp16" and tensorrt):
        return
    if precision == "fp16" and asked == "tensorrt":
        raise ModelError("precision 'fp16' needs TensorRT, which this onnxruntime does not have; use auto or f32")
    raise ModelError(
        f"precision {precision!r} is not available on onnxruntime's CUDA provider; use auto or f32, a model exported "
        "in fp16, or fp16 with provider 'tensorrt'"
    )
