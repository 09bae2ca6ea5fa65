"""What tests need a GPU for, and how they are skipped without one."""

from __future__ import annotations

from stages.models.devices import Device
from tests.require import skip_without


def cuda_device() -> Device:
    """The first CUDA device; without one the test is skipped, or failed where `EVERYFRAME_REQUIRE` names ``gpu``."""
    import torch

    if not torch.cuda.is_available():
        skip_without("gpu", lacking="a CUDA device that torch can use")
    torch.backends.cudnn.allow_tf32 = False  # what is compared with a CPU is computed as there
    return Device("cuda:0", "cuda:0, for a test")
