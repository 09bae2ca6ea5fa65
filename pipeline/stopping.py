"""The end of a run: cameras first, then the vision workers, then the publisher, each within its share of the time."""

from __future__ import annotations

import time
from collections.abc import Callable

from pipeline.board import Phase
from pipeline.roster import Roster
from pipeline.seats import Seat
from pipeline.workers.messages import Stop

# Shares of the time to stop after which cameras, then the vision workers, then the publisher are ended.
SHARES = {"camera": 0.35, "vision": 0.7, "publisher": 1.0}


class Stopping:
    """Each finishes what the ones before gave, and is ended where it takes too long."""

    def __init__(self, roster: Roster, *, retire: Callable[[Seat, str], None]) -> None:
        """`retire` ends the worker in a seat for the reason given."""
        self._roster, self._retire = roster, retire
        self._asked_at: float | None = None
        self._at_once = False
        self.has_begun = False

    def ask(self, *, at_once: bool = False) -> None:
        """Ask for the end, from any thread."""
        self._asked_at = self._asked_at or time.monotonic()
        self._at_once |= at_once

    @property
    def was_asked(self) -> bool:
        """Whether the end was asked for."""
        return self._asked_at is not None

    @property
    def is_over(self) -> bool:
        """Whether every worker has gone."""
        return self.has_begun and all(seat.child is None for seat in self._roster.seats)

    def advance(self) -> None:
        """The next step, if the end was asked for."""
        if self._asked_at is None:
            return
        if not self.has_begun:
            self.has_begun = True
            for camera in self._roster.cameras:
                self._ask_to_stop(camera)
        if self._at_once:
            for seat in self._roster.seats:
                if seat.child is not None:
                    self._retire(seat, "stopped at once")
            return
        elapsed = time.monotonic() - self._asked_at
        limit = self._roster.config.supervisor.stop_seconds
        for seats in (self._roster.cameras, self._roster.visions, [self._roster.publisher]):
            for seat in seats:
                if seat.child is not None and not seat.asked_to_stop:
                    self._ask_to_stop(seat)
                if seat.child is not None and elapsed > limit * SHARES[seat.role]:
                    self._retire(seat, "took too long to stop")
            if any(seat.child is not None for seat in seats):
                return

    def _ask_to_stop(self, seat: Seat) -> None:
        """A worker that has nothing in its hands yet is ended."""
        seat.asked_to_stop = True
        if seat.child is not None:
            if seat.cells.phase in (Phase.STARTING, Phase.LOADING, Phase.OPENING):
                self._retire(seat, "had not begun")
            else:
                seat.child.order(Stop())
