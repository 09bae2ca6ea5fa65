"""Figures that are to be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Curves:
    """Numbers that hold for a piece of time each: `values` [N] a name, beginning at `begins` [N], for `length`."""

    title: str
    begins: Sequence[float]
    length: float
    values: Mapping[str, Sequence[float]]
    ticks: Sequence[tuple[float, str]]  # on the time axis
    highest: float | None = None  # of the number axis; None: as the values need


@dataclass(frozen=True, slots=True)
class Bars:
    """Counts: rows of (label, count by name), the counts of a row one after another."""

    title: str
    rows: Sequence[tuple[str, Mapping[str, int]]]


Panel = Curves | Bars
