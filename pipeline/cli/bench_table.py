"""What the benchmark shows: what goes on, a row a step, and the verdict."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.cli.bench_cameras import Capacity, Wanted
from pipeline.cli.bench_search import Step
from pipeline.config import NO_MODEL

WIDE: Final = 200


@contextmanager
def progress(*, quiet: bool) -> Iterator[tuple[Callable[[str], None], Callable[[Step], None]]]:
    """Two functions that tell what goes on now, and how a step went; to the error stream, nothing where `quiet`."""
    console = Console(stderr=True, highlight=False)
    if quiet:
        yield _silent, _silent
        return

    def tell(step: Step) -> None:
        console.print(Text(step_words(step)), soft_wrap=True)

    if not console.is_terminal or console.is_dumb_terminal:
        yield _silent, tell
        return
    with console.status("starting") as status:
        yield status.update, tell


def _silent(_: object) -> None:
    """Tell nothing."""


def step_words(step: Step) -> str:
    """A step in a line."""
    cameras = f"{step.cameras} camera{'s' if step.cameras > 1 else ''}"
    if step.failure is not None:
        return f"{cameras}: too many: {step.failure}"
    return f"{cameras}: {step.decoded_fps:.1f} frames/s decoded, p95 {step.p95_ms:.0f} ms, {step.cores:.2f} cores"


def print_capacities(capacities: Sequence[Capacity], wanted: Wanted) -> None:
    """Print the tables and the verdict to the output stream."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDE, color_system=None)
    for capacity in capacities:
        console.print(table(capacity))
    for capacity in capacities:
        console.print(Text(verdict(capacity, wanted), style="bold"), soft_wrap=True)
    console.print(Text(footnote(), style="dim"), soft_wrap=True)


def table(capacity: Capacity) -> Table:
    """A row for each number of cameras tried."""
    rows = Table(title=with_model(capacity.model), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("cameras", "decoded/s", "analysed/s", "p50 ms", "p95 ms", "dropped", "cores", "senders' cores"):
        rows.add_column(name, justify="right", no_wrap=True)
    rows.add_column("")
    for step in sorted(capacity.steps, key=lambda step: step.cameras):
        rows.add_row(
            str(step.cameras),
            f"{step.decoded_fps:.1f}",
            f"{step.analysed_fps:.1f}",
            f"{step.p50_ms:.0f}",
            f"{step.p95_ms:.0f}",
            f"{step.dropped_share:.1%}",
            f"{step.cores:.2f}",
            f"{step.sender_cores:.2f}",
            Text("passed", style="green") if step.failure is None else Text(step.failure, style="red"),
        )
    return rows


def verdict(capacity: Capacity, wanted: Wanted) -> str:
    """The answer in a sentence."""
    best, limit = capacity.best, capacity.limit
    if best is None:
        return f"{with_model(capacity.model)}: not one camera: {limit.failure if limit else 'none was tried'}"
    analysed = "" if capacity.model == NO_MODEL else f", {best.analysed_fps:.1f} of 25 frames/s analysed each"
    end = f"; at {limit.cameras}: {limit.failure}" if limit else f"; no more than {capacity.most} were tried"
    return (
        f"{with_model(capacity.model)}: {best.cameras} camera{'s' if best.cameras > 1 else ''} of 1280x720 at 25 "
        f"frames/s{analysed}, p95 latency {best.p95_ms:.0f} ms (at most {wanted.p95_ms:g}), {best.cores:.2f} cores{end}"
    )


def with_model(model: str) -> str:
    """`without a model`, or with which."""
    return "without a model" if model == NO_MODEL else f"with {model}"


def footnote() -> str:
    """On what machine, and what the figures are."""
    return (
        f"{len(os.sched_getaffinity(0))} cores of {processor()}; rates are a camera's, latency is from the decoded "
        "frame to its result, of the worst camera; the senders ran on the same cores"
    )


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """What the machine calls its processor."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "an unnamed processor"
