"""Seats: the positions in a run that workers fill, one after another if they must."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.board import Phase, Role, WorkerCells
from pipeline.child import Child
from pipeline.retry import RestartPolicy


@dataclass(slots=True, eq=False)
class Seat:
    """One position, and the worker that fills it now."""

    role: Role
    index: int  # of its cells among the board's workers
    cells: WorkerCells
    policy: RestartPolicy
    source: int = -1  # a camera's number
    child: Child | None = None
    ready: bool = False  # the worker works
    was_ready: bool = False  # some worker in this seat did
    done: bool = False  # nobody is to fill it any more
    start_at: float = 0.0  # monotonic seconds; not to be filled before
    stopped_checks: int = 0  # how often in a row it was found suspended
    late: tuple[int, int] | None = None  # past its deadline: since when, and how long it had waited for a core by then
    starts: int = 0
    device: str = ""  # a vision worker's, as `device` names it
    label: str = ""  # what a vision worker is told from others by; empty where it is the only one
    inlet: str = ""  # where its worker listens; a new one for each
    outlet: str = ""  # where its worker sends
    failed_starts: int = 0  # of workers in a row that ended before they worked
    last_words: str = ""  # of the worker that failed last
    asked_to_stop: bool = False
    broke_off: bool = False  # a camera's worker is gone for good, and did not leave in good order
    paused: bool = False  # a live camera's: not to be filled for now
    leave_by: float = 0.0  # monotonic seconds at which a worker that was asked to leave is ended; 0: no such time

    @property
    def is_vacant(self) -> bool:
        """Whether a worker is to be started."""
        return self.child is None and not self.done and not self.paused

    @property
    def is_opening(self) -> bool:
        """Whether its worker, also one that has just been ended, opens its source, and was not suspended in that."""
        return self.cells.phase == Phase.OPENING and not self.stopped_checks
