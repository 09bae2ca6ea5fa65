"""A bar for long work: on a terminal it fills, elsewhere there is a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES: Final = 15.0

Tell = Callable[[str, int, int], None]  # what is done, how much of it, of how much


@contextmanager
def bars(*, quiet: bool) -> Iterator[Tell]:
    """What is told of progress, on the error stream: results go to the other."""
    console = Console(stderr=True, highlight=False)
    if quiet:
        yield _nothing
    elif console.is_terminal and not console.is_dumb_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            yield _Bars(progress)
    else:
        yield Lines(console.print)


def _nothing(doing: str, done: int, total: int) -> None:
    """Nobody is to be told."""


class _Bars:
    """A bar for each kind of work."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, doing: str, done: int, total: int) -> None:
        if doing not in self._tasks:
            self._tasks[doing] = self._progress.add_task(doing, total=total)
        self._progress.update(self._tasks[doing], completed=done, total=total)


class Lines:
    """A line when work begins to be long, and then from time to time."""

    def __init__(self, write: Callable[[str], object], *, now: Callable[[], float] = time.monotonic) -> None:
        self._write, self._now = write, now
        self._last = now()

    def __call__(self, doing: str, done: int, total: int) -> None:
        if self._now() - self._last < SECONDS_BETWEEN_LINES:
            return
        self._last = self._now()
        self._write(f"{doing}: {done} of {total}")
