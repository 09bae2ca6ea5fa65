"""A row for each source on a terminal, kept up to date."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Final, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.cli.meter import Meter
from pipeline.cli.setbacks import Setbacks
from pipeline.events import Event
from pipeline.messages import RunStatistics, SourceStatus
from pipeline.states import SourceState

STYLES: Final = {
    SourceState.STREAMING: "green",
    SourceState.ENDED: "dim",
    SourceState.REMOVED: "dim",
    SourceState.CONNECTING: "yellow",
    SourceState.STALLED: "yellow",
    SourceState.PAUSED: "yellow",
}
BAR_WIDTH: Final = 28


class LiveTable:
    """Shows a run as a table that is drawn anew a few times a second."""

    def __init__(self, console: Console, opening: list[str]) -> None:
        self._console = console
        self._opening = opening
        self._meter = Meter()
        self._told_notes = 0
        self._setbacks = Setbacks()
        self._live = Live(console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        for line in self._opening:
            self._console.print(Text(line, style="bold"), soft_wrap=True)
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._live.stop()
        self._warn(self._setbacks.rest())

    def update(self, statistics: RunStatistics, events: Sequence[Event] = ()) -> None:
        """Draw the run at a later instant, new notes and what went wrong above it."""
        self._meter.update(statistics)
        for note in statistics.notes[self._told_notes :]:
            self._console.print(Text(note, style="dim"), soft_wrap=True)
        self._warn(self._setbacks.told(events))
        self._told_notes = len(statistics.notes)
        self._live.update(table(statistics, self._meter))

    def _warn(self, texts: Iterable[str]) -> None:
        for text in texts:
            self._console.print(Text(f"warning: {text}", style="yellow"), soft_wrap=True)


def table(statistics: RunStatistics, meter: Meter) -> Table:
    """The sources with how far each has come."""
    rows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("source", "state"):
        rows.add_column(name, no_wrap=True)
    rows.add_column("")
    for name in ("frames", "frames/s", "p95 ms", "dropped"):
        rows.add_column(name, justify="right", no_wrap=True)
    for source in statistics.sources:
        rows.add_row(
            source.source_id,
            Text(source.state.lower().replace("_", " "), style=STYLES.get(SourceState(source.state), "bold red")),
            _middle(source),
            f"{source.resulted}/{source.expected_frames}" if source.expected_frames else str(source.resulted),
            "" if SourceState(source.state).is_final else f"{meter.rate(source.source_id):.1f}",
            "" if source.latency is None else f"{source.latency.p95_ms:.0f}",
            str(sum(source.dropped.values())),
        )
    return rows


def _middle(source: SourceStatus) -> RenderableType:
    """How far a file has come; what ails a source; else what the picture is."""
    if source.message:
        wait = "" if source.retry_in_seconds is None else f" (next try in {source.retry_in_seconds:.0f} s)"
        return Text(source.message.removeprefix(f"{source.source_id}: ") + wait, style="red")
    if source.expected_frames:
        return ProgressBar(
            total=source.expected_frames,
            completed=source.resulted,
            width=BAR_WIDTH,
            complete_style="cyan",
            finished_style="green",
        )
    if not source.width:
        return ""
    return Text(f"{source.width}x{source.height} {source.codec} {source.frame_rate:.4g} fps", style="dim")
