"""What `everyframe process` shows: a bar for the file and one for all on a terminal, else a line a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pipeline.cli.bars import shows_bars
from pipeline.cli.complain import complain
from pipeline.footage.listing import REPORT, Footage
from pipeline.footage.shelf import Done
from pipeline.footage.work import Outcome, Screen

SAID = {"done": "done", "kept": "kept, as it was done before", "refused": "refused", "left": "left"}


def print_plan(plan: Iterable[tuple[Footage, Done | None]]) -> None:
    """What would be done, a line a recording; those of segments of one source under its own."""
    for footage, mark in plan:
        what = "analyse" if mark is None else "keep   "
        if len(footage.segments) > 1:
            print(f"{what}  {footage.name}  {len(footage.segments)} segments")
        for recording in footage.segments:
            begin = "         " if len(footage.segments) > 1 else f"{what}  {footage.name}"
            began = f"  began {recording.began}" if recording.began else ""
            print(f"{begin}  {recording.path}{began}")


@contextmanager
def screen_for(footage: Sequence[Footage], *, quiet: bool) -> Iterator[Screen]:
    """The screen that suits where the output goes."""
    console = Console(highlight=False)
    if quiet:
        yield Screen()
    elif shows_bars(console):
        with Bars(console, footage) as bars:
            yield bars
    else:
        yield Lines(len(footage))


def tell_outcomes(outcomes: Sequence[Outcome], directory: Path, *, quiet: bool) -> None:
    """Name those that were refused, and sum up the rest."""
    for outcome in outcomes:
        for reason in outcome.refused or ((outcome.reason,) if outcome.reason else ()):
            complain(f"everyframe: {reason}")
    if quiet:
        return
    counts = {state: sum(one.state == state for one in outcomes) for state in SAID}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    results = sum(outcome.counts.results for outcome in outcomes)
    print(f"{len(outcomes)} recordings: {told}; {results} results; {directory / REPORT} has each")


class Lines(Screen):
    """A line for each recording when it is over."""

    def __init__(self, count: int) -> None:
        self._count, self._number = count, 0

    def end(self, footage: Footage, outcome: Outcome) -> None:
        self._number += 1
        print(f"[{self._number}/{self._count}] {footage.name}: {said(outcome)}", flush=True)


class Bars(Screen):
    """A bar for each recording in work, by its frames, and one for all, by their bytes."""

    def __init__(self, console: Console, footage: Sequence[Footage]) -> None:
        self._sizes = {one.name: sum(_size(segment.path) for segment in one.segments) for one in footage}
        self._count = len(footage)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(compact=True),
            console=console,
        )
        self._all = self._progress.add_task("all", total=max(sum(self._sizes.values()), 1), told="")
        self._bars: dict[str, TaskID] = {}
        self._shares: dict[str, float] = {}  # of each recording's bytes

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, footage: Footage, number: int) -> None:
        self._bars[footage.name] = self._progress.add_task(escape(footage.name), total=None, told="")
        self._progress.update(self._all, told=f"{number} of {self._count}")

    def step(self, footage: Footage, frames: int, expected: int, *, doing: str = "frames") -> None:
        told = f"{frames} of {expected} frames" + (", exports" if doing == "export" else "")
        if footage.name not in self._bars:  # its results were there
            self._bars[footage.name] = self._progress.add_task(escape(footage.name), total=None, told="")
        self._progress.update(self._bars[footage.name], completed=frames, total=expected or None, told=told)
        if expected and doing == "frames":
            self._passed(footage, min(frames / expected, 1.0))

    def end(self, footage: Footage, outcome: Outcome) -> None:
        bar = self._bars.pop(footage.name, None)
        if bar is not None:
            self._progress.remove_task(bar)
        self._passed(footage, 1.0)
        self._progress.print(f"{escape(footage.name)}: {said(outcome)}")

    def _passed(self, footage: Footage, share: float) -> None:
        self._shares[footage.name] = share
        self._progress.update(self._all, completed=sum(self._sizes[name] * of for name, of in self._shares.items()))


def said(outcome: Outcome) -> str:
    """What became of a recording."""
    results = f", {outcome.counts.results} results" if outcome.state in ("done", "kept") else ""
    exports = f", {', '.join(outcome.exports)}" if outcome.exports else ""
    refused = f"; {len(outcome.refused)} segments refused" if outcome.refused and outcome.state != "refused" else ""
    return f"{SAID[outcome.state]}{results}{exports}{refused}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
