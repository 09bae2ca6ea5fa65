"""CUDA streams as many threads use them: entered at little cost, and waited for without burning a core.

``torch.cuda.stream`` asks how many devices there are each time it is entered, which holds the interpreter for longer
than what a decoder's thread does there (measured: a third of the interpreter's time, of 32 decoders on an H100).
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

_SLEEP_WHILE_WAITING = 4  # CU_CTX_SCHED_BLOCKING_SYNC


@contextmanager
def on_stream(stream: Any) -> Iterator[None]:
    """While it is entered, the current stream of this thread is `stream`; None, on a CPU, changes nothing.

    Its device stays this thread's current one afterwards: a process uses one.
    """
    if stream is None:
        yield
        return
    before = torch.cuda.current_stream(stream.device_index)
    torch.cuda.set_stream(stream)
    try:
        yield
    finally:
        torch.cuda.set_stream(before)


def wait_for(stream: Any, made: Any, by: Any) -> None:
    """Have a stream wait for a picture: for the event `made`, or for all that the stream `by` was given."""
    if made is not None:
        stream.wait_event(made)
    if by is not None and by != stream:
        stream.wait_stream(by)


def sleep_while_waiting(device: str) -> None:
    """Have threads that wait for a CUDA device sleep, not spin: there may be more of them than cores.

    Before the device, `cuda:N`, is used in this process; where the driver cannot, nothing changes.
    """
    with suppress(OSError, AttributeError):
        driver = ctypes.CDLL("libcuda.so.1")
        if driver.cuInit(0) == 0:
            driver.cuDevicePrimaryCtxSetFlags_v2(int(device.partition(":")[2] or 0), _SLEEP_WHILE_WAITING)
