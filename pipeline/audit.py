"""A running check of the ledger: whether, at this instant, every frame of every source is accounted for.

The supervisor does it. It sees all of the board and writes none of the words that are added up; it outlives every
worker, the publisher too, half of whose sum is its own; no frame waits for it; and since it is also who mends what a
dead worker left half written, nobody does that while it looks. It costs a few copies of 3 kB a source and second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pipeline.board import SourceCells
from pipeline.clock import Clock, SystemClock
from pipeline.status import News, in_flight, status_of

INTERVAL_SECONDS = 1.0
REMIND_SECONDS = 60.0  # between two complaints about a source


class Audit:
    """Looks once a second; counts a violation on the source's cells when the sum is off by another number than before.

    What it remembers of a source is on the board, and goes with it.
    """

    def __init__(self, complain: Callable[[str], None], *, clock: Clock | None = None) -> None:
        """`complain` is told of a violation in one line."""
        self._complain = complain
        self._clock = SystemClock() if clock is None else clock
        self._looked_ns: int | None = None

    def look(self, accounts: Iterable[tuple[str, SourceCells]]) -> None:
        """Check every source, named with its cells, unless that was done less than a second ago."""
        now_ns = self._clock.monotonic_ns()
        if self._looked_ns is not None and now_ns - self._looked_ns < INTERVAL_SECONDS * 1e9:
            return
        self._looked_ns = now_ns
        for source_id, cells in accounts:
            self._check(source_id, cells, now_ns)

    def _check(self, source_id: str, cells: SourceCells, now_ns: int) -> None:
        now = cells.agreed()
        if now is None:  # a worker has died in the middle of a change; what it left is mended first
            return
        unaccounted, audit = unaccounted_of(now), cells.audit
        if unaccounted == audit.unaccounted:
            return
        audit.unaccounted = unaccounted
        if not unaccounted:
            return
        audit.violations += 1
        if not audit.told_at_ns or now_ns - audit.told_at_ns >= REMIND_SECONDS * 1e9:
            audit.told_at_ns = now_ns
            self._complain(describe(source_id, now))


def unaccounted_of(cells: SourceCells) -> int:
    """Frames captured beyond those resulted, dropped and in flight, of a snapshot; 0, or the ledger is wrong."""
    return status_of("", cells, news=News(), live=False, now_ns=0).balance


def describe(source_id: str, cells: SourceCells) -> str:
    """The account of a snapshot that does not balance, in one line."""
    status = status_of(source_id, cells, news=News(), live=False, now_ns=0)
    queues = ", ".join(f"{queue} {frames}" for queue, frames in in_flight(cells).items())
    return (
        f"{source_id}: the ledger does not balance, {unaccounted_of(cells)} frames are unaccounted for:"
        f" {status.captured} captured, {status.resulted} with a result, {sum(status.dropped.values())} dropped,"
        f" {status.in_flight} in flight ({queues or 'none'}), violation {cells.audit.violations + 1} of this source;"
        " please report this"
    )
