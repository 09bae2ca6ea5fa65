"""Whether a worker is to be replaced: judged by what it stamped on the board, and by what the kernel says of it."""

from __future__ import annotations

from typing import Protocol

from pipeline.board import Phase
from pipeline.seats import Seat

STOPPED_CHECKS = 4  # in a row at which a worker was found suspended
OBSERVED_SECONDS = 0.4  # for which a late worker is watched
STARVED_SHARE = 0.2  # of that time spent waiting for a core: it is late because others have them
STARVED_SECONDS = 120.0  # after which it is replaced all the same


class Process(Protocol):
    """What the kernel says of a worker."""

    @property
    def is_stopped(self) -> bool:
        """Whether it is suspended."""

    @property
    def waited_for_core_ns(self) -> int:
        """How long it was ready to run while others had the cores."""


def fault_of(seat: Seat, process: Process, *, now_ns: int) -> str:
    """Why the worker in a seat is to be ended; empty where it is not. To be asked about every quarter of a second."""
    seat.stopped_checks = seat.stopped_checks + 1 if process.is_stopped else 0
    if seat.stopped_checks >= STOPPED_CHECKS:
        return "was suspended"
    if is_hung(seat, process, now_ns=now_ns):
        return f"hung while {Phase(seat.cells.phase).name.lower()}"
    return ""


def is_hung(seat: Seat, process: Process, *, now_ns: int) -> bool:
    """Whether a worker is past its deadline for another reason than that it is not given a core.

    On an overloaded machine, to replace a worker that only waits its turn would add the work of starting another.
    """
    late_ns = now_ns - seat.cells.deadline_ns
    if late_ns < 0 or not seat.cells.deadline_ns:
        seat.late = None
        return False
    if seat.late is None:
        seat.late = (now_ns, process.waited_for_core_ns)
        return False
    since_ns, before_ns = seat.late
    if now_ns - since_ns < OBSERVED_SECONDS * 1e9:
        return False
    waited_ns = process.waited_for_core_ns
    seat.late = (now_ns, waited_ns)
    starved = waited_ns - before_ns > STARVED_SHARE * (now_ns - since_ns)
    return not starved or late_ns > STARVED_SECONDS * 1e9
