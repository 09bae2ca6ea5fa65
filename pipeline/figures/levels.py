"""Numbers that hold over time: how many there are at once."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
from numpy import typing as npt

NOMINAL_STEP_NS: Final = 40_000_000  # how long a frame stands for where there is no other to tell by
LONGEST_STEP_NS: Final = 60_000_000_000  # between two frames; beyond, what was there in between is not known


@dataclass(slots=True)
class Level:
    """The integral of a number, the time it was not zero, and the most it was."""

    most: int = 0
    total_ns: int = 0
    some_ns: int = 0

    def hold(self, number: int, duration_ns: int) -> None:
        """It was so many for so long."""
        self.most = max(self.most, number)
        self.total_ns += number * duration_ns
        self.some_ns += duration_ns if number else 0

    def add(self, other: Level) -> None:
        """Another time, or another source: at once is never summed over sources."""
        self.most = max(self.most, other.most)
        self.total_ns += other.total_ns
        self.some_ns += other.some_ns


Crossing = tuple[str, str, str]  # line, direction, class


@dataclass(slots=True)
class Bin:
    """A piece of time."""

    observed_ns: int = 0
    tracks: Counter[str] = field(default_factory=Counter)  # by class: distinct ones that were seen
    classes: defaultdict[str, Level] = field(default_factory=lambda: defaultdict(Level))
    zones: defaultdict[str, Level] = field(default_factory=lambda: defaultdict(Level))
    crossings: Counter[Crossing] = field(default_factory=Counter)

    def add(self, other: Bin) -> None:
        """The same piece of time of another source, or another piece of time."""
        self.observed_ns += other.observed_ns
        self.tracks += other.tracks
        self.crossings += other.crossings
        for mine, its in ((self.classes, other.classes), (self.zones, other.zones)):
            for name, level in its.items():
                mine[name].add(level)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one frame shows."""

    epoch: int
    seq: int
    time_ns: int
    classes: Counter[str]
    zones: dict[str, int]


class Clockwork:
    """How long each frame stands for: up to the next one of its epoch, if none is missing in between."""

    def __init__(self) -> None:
        self._last: Snapshot | None = None
        self._step_ns = NOMINAL_STEP_NS

    def next(self, shown: Snapshot | None) -> tuple[Snapshot, int] | None:
        """The frame before, and how long it held; `shown` is None at the end."""
        before, self._last = self._last, shown
        if before is None:
            return None
        if shown is not None and shown.epoch == before.epoch and shown.seq == before.seq + 1:
            step_ns = shown.time_ns - before.time_ns
            if 0 <= step_ns <= LONGEST_STEP_NS:
                self._step_ns = step_ns
        return before, self._step_ns


@dataclass(slots=True)
class Durations:
    """How long things took: eight bytes each, so that medians are exact."""

    seconds: list[npt.NDArray[np.float64]] = field(default_factory=list)
    _new: list[float] = field(default_factory=list)

    def add(self, seconds: float) -> None:
        """One more."""
        self._new.append(seconds)
        if len(self._new) >= 4096:
            self._pack()

    def extend(self, other: Self) -> None:
        """Those of another."""
        other._pack()
        self.seconds += other.seconds

    def values(self) -> npt.NDArray[np.float64]:
        """All of them [N], in the order they came."""
        self._pack()
        return np.concatenate([np.zeros(0), *self.seconds])

    def _pack(self) -> None:
        if self._new:
            self.seconds.append(np.array(self._new))
            self._new.clear()
