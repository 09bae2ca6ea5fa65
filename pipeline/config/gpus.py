"""Which NVIDIA GPUs this machine has and what could use them, told from files: nothing is loaded, and none is woken."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_DRIVER = Path("/proc/driver/nvidia/gpus")
_DEVICES = Path("/dev")


def gpu_names(driver: Path = _DRIVER, devices: Path = _DEVICES) -> list[str]:
    """The model of each, in the driver's order; "an NVIDIA GPU" where only the device file is there."""
    names = [_model(path) for path in sorted(driver.glob("*/information"))]
    return names or ["an NVIDIA GPU" for _ in sorted(devices.glob("nvidia[0-9]*"))]


@cache
def has_gpu() -> bool:
    """Whether there is one, as far as its driver's files tell; asked once a process."""
    return bool(gpu_names())


@cache
def gpu_count() -> int:
    """How many there are for CUDA to see, as far as can be told from files and `CUDA_VISIBLE_DEVICES`."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    there = len(gpu_names())
    return there if visible is None else min(there, len([name for name in visible.split(",") if name.strip()]))


@cache
def onnxruntime_has_cuda() -> bool:
    """Whether the ONNX Runtime that is installed is a build for CUDA, told from its files; asked once a process."""
    spec = find_spec("onnxruntime")
    folders = (spec.submodule_search_locations or []) if spec is not None else []
    return any((Path(folder) / "capi" / "libonnxruntime_providers_cuda.so").exists() for folder in folders)


def _model(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("Model:")), "an NVIDIA GPU")
