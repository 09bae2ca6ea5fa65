"""What a run came to: where each frame went, how fast, how late."""

from __future__ import annotations

from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.config import OutputConfig
from pipeline.messages import RunStatistics, SourceStatus

WIDE: Final = 200  # columns where the output is no terminal, so that no row is folded


def print_summary(statistics: RunStatistics, *, output: OutputConfig) -> None:
    """Print the summary to the output stream."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDE, color_system=None)
    console.print(summary_table(statistics))
    total = f"{statistics.resulted} results in {statistics.elapsed_seconds:.1f} s"
    console.print(f"{total}, {statistics.frames_per_second:.1f} frames/s", style="bold")
    for place in (output.directory, output.annotate, output.events, *output.export.files.values()):
        if place is not None:
            console.print(Text(f"written: {place}"), soft_wrap=True)


def summary_table(statistics: RunStatistics) -> Table:
    """A row a source: captured = resulted + dropped + in flight, or it says loudly that it is not."""
    rows = Table(box=SIMPLE_HEAD, pad_edge=False)
    rows.add_column("source", no_wrap=True)
    for name in ("captured", "resulted", "dropped", "in flight", "undecoded", "damaged", "frames/s"):
        rows.add_column(name, justify="right")
    rows.add_column("latency p50/p95/p99 ms", justify="right")
    rows.add_column("balance")
    for source in statistics.sources:
        rows.add_row(
            source.source_id,
            str(source.captured),
            str(source.resulted),
            dropped(source),
            str(source.in_flight),
            str(source.undecoded),
            str(source.damaged),
            f"{source.resulted / statistics.elapsed_seconds if statistics.elapsed_seconds > 0 else 0.0:.1f}",
            latency(source),
            balance(source),
        )
    return rows


def dropped(source: SourceStatus) -> str:
    """How many frames were dropped, and why."""
    by_reason = {reason: count for reason, count in source.dropped.items() if count}
    if not by_reason:
        return "0"
    return f"{sum(by_reason.values())} ({', '.join(f'{reason} {count}' for reason, count in by_reason.items())})"


def latency(source: SourceStatus) -> str:
    """The percentiles, where there are any."""
    if source.latency is None:
        return "-"
    return " / ".join(f"{ms:.1f}" for ms in (source.latency.p50_ms, source.latency.p95_ms, source.latency.p99_ms))


def balance(source: SourceStatus) -> Text:
    """Whether every frame is accounted for."""
    if source.balance == 0:
        return Text("balanced")
    return Text(f"OUT OF BALANCE BY {source.balance}: please report this", style="bold red")
