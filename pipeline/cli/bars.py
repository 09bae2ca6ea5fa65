"""Bars for long work: on a terminal they fill, elsewhere there is a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES: Final = 15.0

Tell = Callable[[str, int, int], None]  # what is done, how much of it, of how much


@contextmanager
def bars(*, quiet: bool) -> Iterator[Tell]:
    """What is told of progress, on the error stream: results go to the other."""
    console = Console(stderr=True, highlight=False)
    if quiet:
        yield _nothing
    elif shows_bars(console):
        with Bars(console, transient=True) as shown:
            yield shown
    else:
        yield Lines(lambda line: console.print(line, markup=False, soft_wrap=True))


def shows_bars(console: Console) -> bool:
    """Whether a bar can fill there."""
    return console.is_terminal and not console.is_dumb_terminal


def _nothing(doing: str, done: int, total: int) -> None:
    """Nobody is to be told."""


class Bars:
    """A bar for each kind of work, with words beside it. Names and words are shown as they are, never as markup.

    Args:
        console: where they are.
        transient: whether they are gone in the end.
    """

    def __init__(self, console: Console, *, transient: bool = False) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=transient,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, doing: str, done: int, total: int, *, words: str = "") -> None:
        """So much is done of it, of so much; `words` come after that."""
        if doing not in self._tasks:
            self._tasks[doing] = self._progress.add_task(escape(doing), total=total, told="")
        told = escape(f"{done} of {total}  {words}".rstrip())
        self._progress.update(self._tasks[doing], completed=done, total=total, told=told)

    def end(self, doing: str) -> None:
        """Take its bar away."""
        self._progress.remove_task(self._tasks.pop(doing))

    def print(self, text: str) -> None:
        """A line above the bars."""
        self._progress.print(escape(text))


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
