"""What every worker is given to work with."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pipeline.board import Board, Phase, WorkerCells
from pipeline.workers.control import Control
from pipeline.workers.messages import SourceGiven, Spec
from pipeline.workers.occupants import Occupant, Occupants, settle_in

SLOW_FACTOR = 4.0  # a step may take so many times longer than the slowest yet


class Liveness:
    """Stamps on the board what a worker is doing, and until when it may."""

    def __init__(self, cells: WorkerCells) -> None:
        self._cells = cells

    def stamp(self, phase: Phase, seconds: float) -> None:
        """This phase has begun, and must be over (or be stamped again) within so many seconds."""
        self._cells.deadline_ns = time.monotonic_ns() + round(seconds * 1e9)
        self._cells.phase = phase


class Pace:
    """How long a step may take before the worker counts as hung, learnt from how long steps took.

    The first may compile something, and has as long as loading has. What it took says nothing about the others.
    """

    def __init__(self, *, usual_seconds: float, first_seconds: float) -> None:
        self.allowed_seconds = first_seconds
        self._usual_seconds = usual_seconds
        self._slowest_seconds: float | None = None

    def took(self, seconds: float) -> None:
        """A step is done."""
        self._slowest_seconds = 0.0 if self._slowest_seconds is None else max(self._slowest_seconds, seconds)
        self.allowed_seconds = max(self._usual_seconds, SLOW_FACTOR * self._slowest_seconds)


@dataclass(frozen=True, slots=True)
class Bench:
    """A worker's tools."""

    spec: Spec
    control: Control
    liveness: Liveness
    board: Board
    occupants: Occupants

    def admit(self, given: SourceGiven) -> Occupant:
        """Serve a source that was given, with the ring that came with it."""
        occupant = settle_in(given, *self.control.descriptors(given), board=self.board, slots=self.spec.slots)
        self.occupants.admit(occupant)
        return occupant

    def pace(self) -> Pace:
        """The pace of a step a frame, by the configured deadlines."""
        settings = self.spec.config.supervisor
        return Pace(usual_seconds=settings.frame_deadline_seconds, first_seconds=settings.load_deadline_seconds)
