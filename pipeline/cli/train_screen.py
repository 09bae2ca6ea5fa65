"""What `everyframe train` shows: a bar of steps with loss and rate on a terminal, else a line now and then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from rich.console import Console

from pipeline.cli.bars import Bars, shows_bars

_LINES = 50  # of a whole training, where there is no bar
ENDING: Final = "ending after this step"


class Step(Protocol):
    """A training at some step, as it tells of it: mean losses since it told before, or of held-out pictures."""

    @property
    def number(self) -> int: ...
    @property
    def of(self) -> int: ...
    @property
    def rate(self) -> float: ...
    @property
    def terms(self) -> Mapping[str, float]: ...
    @property
    def pictures_per_second(self) -> float: ...
    @property
    def validation(self) -> Mapping[str, float]: ...


class Screen:
    """Says nothing."""

    def opening(self, what: str, done: int, of: int) -> None:
        """Something is read or rendered, so much of so much."""

    def step(self, step: Step) -> None:
        """A training has come to a step."""

    def remark(self, text: str) -> None:
        """Something that a person should know before."""

    def ending(self) -> None:
        """Somebody wants it to end."""

    def end(self, output: Path) -> None:
        """All steps are over."""


class Lines(Screen):
    """A line for what is opened, and some for the steps."""

    def __init__(self) -> None:
        self._told = 0
        self._opened: set[str] = set()

    def opening(self, what: str, done: int, of: int) -> None:
        if what not in self._opened:
            self._opened.add(what)
            print(f"{what}: {of}", flush=True)

    def step(self, step: Step) -> None:
        due = step.number * _LINES // step.of
        if step.validation or due > self._told or step.number >= step.of:
            self._told = due
            print(f"step {step.number} of {step.of}: {said(step)}", flush=True)

    def remark(self, text: str) -> None:
        print(text, flush=True)

    def ending(self) -> None:
        print(ENDING, flush=True)

    def end(self, output: Path) -> None:
        print(done(output), flush=True)


class Drawn(Screen):
    """A bar for what is opened, and one for the steps."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars

    def opening(self, what: str, done: int, of: int) -> None:
        self._bars(what, done, of)
        if done >= of:
            self._bars.end(what)

    def step(self, step: Step) -> None:
        if step.validation:
            self._bars.print(f"step {step.number}: {said(step)}")
        else:
            self._bars("steps", step.number, step.of, words=said(step))

    def remark(self, text: str) -> None:
        self._bars.print(text)

    def ending(self) -> None:
        self._bars.print(ENDING)

    def end(self, output: Path) -> None:
        print(done(output), flush=True)


@contextmanager
def screen_for(*, quiet: bool) -> Iterator[Screen]:
    """The screen that suits where the output goes."""
    console = Console(highlight=False)
    if quiet:
        yield Screen()
    elif shows_bars(console):
        with Bars(console) as bars:
            yield Drawn(bars)
    else:
        yield Lines()


def done(output: Path) -> str:
    """What there is in the end."""
    return f"done: {output}/nano.safetensors; {output}/curves.png shows how it went"


def said(step: Step) -> str:
    """What a training tells at a step, in a line."""
    terms = step.validation or step.terms
    parts = "  ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in terms.items())
    if step.validation:
        return f"held out  {parts}"
    return f"loss {sum(terms.values()):.3f}  {parts}  rate {step.rate:.2e}  {step.pictures_per_second:.1f} pictures/s"
