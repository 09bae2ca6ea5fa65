"""What a training tells of itself: lines of JSON that go on with it, and a listener for a screen."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from stages.models.training.recipe import Recipe
from stages.models.whole_file import write_whole

LOG = "log.jsonl"
_EVERY = 20  # steps


@dataclass(frozen=True, slots=True)
class Step:
    """A training at some step.

    Attributes:
        number: steps that are over.
        of: how many there are.
        rate: learning rate.
        terms: mean loss terms since the step told before.
        pictures_per_second: since the training began, or went on.
        validation: mean loss terms of held-out pictures, where they were looked at.
    """

    number: int
    of: int
    rate: float
    terms: dict[str, float]
    pictures_per_second: float
    validation: dict[str, float] = field(default_factory=dict)


Listener = Callable[[Step], None]


class _Line(msgspec.Struct, frozen=True):
    """What is read of a line; it may say more."""

    step: int
    rate: float = 0.0
    loss: dict[str, float] = {}
    held_out: dict[str, float] = {}


class History:
    """Gathers loss terms, and tells their means now and then.

    Args:
        path: of the lines.
        tell: is told of every such step.
        recipe: what is trained.
    """

    def __init__(self, path: Path, tell: Listener | None, recipe: Recipe) -> None:
        self.path, self.tell, self.recipe = path, tell, recipe
        self.lines: list[dict[str, object]] = []
        self._recent: list[dict[str, float]] = []
        self._first, self._started = 0, time.monotonic()

    def begin(self, step: int) -> None:
        """Start counting at a step; lines of later steps, which are taken again, are forgotten."""
        self._first, self._started = step, time.monotonic()
        if step and self.path.is_file():
            self.lines = [line for line in read_lines(self.path) if _step_of(line) <= step]

    def add(self, step: int, rate: float, terms: dict[str, float]) -> None:
        """Note one step."""
        self._recent.append(terms)
        if step % _EVERY and step < self.recipe.steps:
            return
        means = {name: sum(one[name] for one in self._recent) / len(self._recent) for name in terms}
        self._recent.clear()
        self._tell(Step(step, self.recipe.steps, rate, means, self._speed(step)))

    def validated(self, step: int, terms: dict[str, float]) -> None:
        """Note a look at held-out pictures."""
        self._tell(Step(step, self.recipe.steps, 0.0, {}, self._speed(step), terms))

    def keep(self) -> None:
        """Write the lines. Raises `OSError`."""
        write_whole(self.path, "".join(json.dumps(line) + "\n" for line in self.lines).encode())

    def _speed(self, step: int) -> float:
        return (step - self._first) * self.recipe.batch / max(time.monotonic() - self._started, 1e-6)

    def _tell(self, step: Step) -> None:
        line: dict[str, object] = {"step": step.number}
        if step.validation:
            line["held_out"] = _rounded(step.validation)
        else:
            line |= {"rate": step.rate, "loss": _rounded(step.terms)}
            line["pictures_per_second"] = round(step.pictures_per_second, 2)
        self.lines.append(line)
        if self.tell is not None:
            self.tell(step)


def read_lines(path: Path) -> list[dict[str, object]]:
    """The lines of a training's log; a line that is none of ours is left out."""
    lines = []
    for text in path.read_bytes().splitlines():
        try:
            msgspec.json.decode(text, type=_Line)
            line = json.loads(text)
        except ValueError:  # those of msgspec and of bytes that are no text among them
            continue
        if "held_out" in line or {"loss", "rate"} <= line.keys():
            lines.append(line)
    return lines


def _step_of(line: dict[str, object]) -> int:
    step = line["step"]
    return step if isinstance(step, int) else 0


def _rounded(terms: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 5) for name, value in terms.items()}
