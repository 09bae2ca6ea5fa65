"""What `everyframe process` shows: a bar for the file and one for all on a terminal, else a line a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pipeline.cli.complain import complain
from pipeline.footage.listing import REPORT, Recording
from pipeline.footage.shelf import Done
from pipeline.footage.work import Outcome, Screen, Step

SAID = {"done": "done", "kept": "kept, as it was done before", "refused": "refused", "left": "left"}


def print_plan(plan: Iterable[tuple[Recording, Done | None]]) -> None:
    """What would be done, a line a recording."""
    for recording, mark in plan:
        what = "analyse" if mark is None else "keep   "
        began = f"  began {recording.began}" if recording.began else ""
        print(f"{what}  {recording.name}  {recording.path}{began}")


@contextmanager
def screen_for(recordings: Sequence[Recording], *, quiet: bool) -> Iterator[Screen]:
    """The screen that suits where the output goes."""
    console = Console(highlight=False)
    if quiet:
        yield Screen()
    elif console.is_terminal and not console.is_dumb_terminal:
        with Bars(console, recordings) as bars:
            yield bars
    else:
        yield Lines(len(recordings))


def tell_outcomes(outcomes: Sequence[Outcome], directory: Path, *, quiet: bool) -> None:
    """Name those that were refused, and sum up the rest."""
    for outcome in outcomes:
        if outcome.state == "refused":
            complain(f"everyframe: {outcome.reason}")
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

    def end(self, outcome: Outcome) -> None:
        self._number += 1
        results = f", {outcome.counts.results} results" if outcome.state in ("done", "kept") else ""
        print(f"[{self._number}/{self._count}] {outcome.name}: {SAID[outcome.state]}{results}", flush=True)


class Bars(Screen):
    """A bar for the recording in work, by its frames, and one for all, by their bytes."""

    def __init__(self, console: Console, recordings: Sequence[Recording]) -> None:
        self._sizes = {recording.name: _size(recording.path) for recording in recordings}
        self._count = len(recordings)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(compact=True),
            console=console,
        )
        self._all = self._progress.add_task("all", total=max(sum(self._sizes.values()), 1), told="")
        self._one: TaskID | None = None
        self._before = 0  # bytes of those that are over
        self._name = ""

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, recording: Recording, number: int) -> None:
        self._name = recording.name
        self._one = self._progress.add_task(escape(recording.name), total=None, told="")
        self._progress.update(self._all, told=f"{number} of {self._count}")

    def step(self, step: Step) -> None:
        if self._one is None:
            return
        told = f"{step.frames} of {step.expected} frames" if step.expected else f"{step.frames} frames"
        self._progress.update(self._one, completed=step.frames, total=step.expected, told=told)
        if step.expected:
            share = min(step.frames / step.expected, 1.0)
            self._progress.update(self._all, completed=self._before + share * self._sizes[self._name])

    def end(self, outcome: Outcome) -> None:
        if self._one is not None:
            self._progress.remove_task(self._one)
            self._one = None
        self._before += self._sizes[outcome.name]
        self._progress.update(self._all, completed=self._before)
        self._progress.print(f"{escape(outcome.name)}: {SAID[outcome.state]}, {outcome.counts.results} results")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
