"""Timing on a device, and the command line of the benchmarks that have one."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, Literal, get_args

from tests.benchmarks.table import Row, show

Device = Literal["cpu", "cuda"]


def fastest_ms(work: Callable[[], Any], *, device: Device, rounds: int) -> float:
    """The fastest of several runs after a warm one, to the end of what the device does for it."""
    times = []
    for turn in range(rounds + 1):
        wait_for(device)
        begin = time.perf_counter()
        work()
        wait_for(device)
        if turn:
            times.append(time.perf_counter() - begin)
    return min(times) * 1e3


def wait_for(device: Device) -> None:
    """Until the device has done what it was given."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def replayed(work: Callable[[], Any], *, device: Device) -> Callable[[], Any]:
    """Work that waits for nothing, as one CUDA graph that is launched at once; on a CPU the work itself."""
    if device == "cpu":
        return work
    import torch

    beside = torch.cuda.Stream()
    with torch.cuda.stream(beside):
        for _ in range(3):
            work()  # kernels are compiled and constants copied before
    wait_for(device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=beside):
        result = work()

    def replay() -> Any:
        graph.replay()
        return result

    return replay


def row(name: str, ours: float, theirs: float, *, unit: str = "ms", target: float | None = None) -> Row:
    """One line of the table, where less is better."""
    return {"name": name, "ours": ours, "theirs": theirs, "ratio": theirs / ours, "unit": unit, "target": target}


def main(run: Callable[[Device], list[Row]], description: str | None) -> None:
    """Print the rows of a benchmark for the device that is asked for."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=get_args(Device), default="cpu")
    device: Device = parser.parse_args().device
    show((description or "").partition(":")[0].rstrip("."), run(device))
