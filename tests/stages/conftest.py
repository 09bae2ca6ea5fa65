"""Devices that tensors and kernels are tested on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernels import KERNEL_DEVICES, TENSOR_DEVICES, torch_device


@pytest.fixture(params=KERNEL_DEVICES)
def kernel_device(request: pytest.FixtureRequest) -> Any:
    """A device on which Triton kernels run in this process."""
    return torch_device(request.param)


@pytest.fixture(params=TENSOR_DEVICES)
def tensor_device(request: pytest.FixtureRequest) -> Any:
    """A device of torch's: the CPU, or a GPU."""
    return torch_device(request.param)
