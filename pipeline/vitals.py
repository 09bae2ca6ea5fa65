"""How the supervisor and its workers are: what `/healthz`, `/readyz`, `/metrics` and a service manager are told.

Everything is read off the board and the supervisor's own attributes; no worker is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.board import Phase, Role, SourceCells
from pipeline.seats import Seat

# The supervisor goes round four times a second; one that has not for so long hangs, whatever the machine does.
JUDGEMENT_SECONDS = 10.0
NAMES: dict[Role, str] = {"vision": "the vision worker", "publisher": "the publisher", "camera": "the camera worker"}


@dataclass(frozen=True, slots=True)
class WorkerVitals:
    """One seat, and the worker in it."""

    role: Role
    source_id: str = ""  # a camera's
    pid: int = 0  # 0: no process in the seat now
    phase: str = ""  # what it is doing, where there is one
    ready: bool = False  # has said that it works; cameras do not say
    restarts: int = 0
    device: str = ""  # a vision worker's, where there are several
    given_up: bool = False  # others have taken over what it did

    @property
    def up(self) -> bool:
        """Whether there is a process."""
        return self.pid != 0


@dataclass(frozen=True, slots=True)
class Vitals:
    """The supervisor and its workers at one instant."""

    supervising: bool  # the supervisor's thread runs
    judged_seconds_ago: float  # since it last went round; 0 before the first time
    stopping: bool
    workers: tuple[WorkerVitals, ...]

    @property
    def ailments(self) -> tuple[str, ...]:
        """Why the run is not alive; empty where it is."""
        if not self.supervising:
            return ("the supervisor has ended",)
        if self.judged_seconds_ago > JUDGEMENT_SECONDS:
            return (f"the supervisor has not judged its workers for {self.judged_seconds_ago:.0f} s",)
        return ()

    @property
    def hindrances(self) -> tuple[str, ...]:
        """Why no results can leave now; empty where they can."""
        stopping = ("the run is stopping",) if self.stopping else ()
        workers = (worker for worker in self.workers if not worker.given_up)
        waited = (worker for worker in workers if worker.role != "camera" and not worker.ready)
        return self.ailments + stopping + tuple(_hindrance(worker) for worker in waited)


@dataclass(frozen=True, slots=True)
class SourceVitals:
    """What a `SourceStatus` sums up."""

    source_id: str
    last_frame_age_seconds: float | None  # None before the first
    latencies: tuple[int, ...]  # results by bucket of `pipeline.latency`
    latency_total_seconds: float


def worker_vitals_of(seat: Seat, source_id: str) -> WorkerVitals:
    """The vitals of a seat; `source_id` for a camera's."""
    child = seat.child
    return WorkerVitals(
        role=seat.role,
        source_id=source_id,
        pid=child.pid if child is not None else 0,
        phase=Phase(seat.cells.phase).name.lower() if child is not None else "",
        ready=seat.ready,
        restarts=max(0, seat.starts - 1),
        device=seat.label,
        given_up=seat.role == "vision" and seat.done,
    )


def source_vitals_of(source_id: str, cells: SourceCells, *, now_ns: int) -> SourceVitals:
    """The vitals of one source; `now_ns` is on the monotonic clock."""
    arrival_ns = cells.decoder.last_arrival_ns
    return SourceVitals(
        source_id=source_id,
        last_frame_age_seconds=max(0.0, (now_ns - arrival_ns) / 1e9) if arrival_ns else None,
        latencies=tuple(cells.latency.buckets),
        latency_total_seconds=cells.latency.total_us / 1e6,
    )


def _hindrance(worker: WorkerVitals) -> str:
    name = f"{NAMES[worker.role]} of {worker.device}" if worker.device else NAMES[worker.role]
    return f"{name} is {worker.phase}" if worker.up else f"{name} is not running"
