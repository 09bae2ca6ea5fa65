"""Which NVIDIA GPUs this machine has, told from the files of their driver: nothing is loaded, and none is woken."""

from __future__ import annotations

from functools import cache
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


def _model(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("Model:")), "an NVIDIA GPU")
