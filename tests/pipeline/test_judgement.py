"""When a worker is to be ended: suspended, or late for another reason than that others have the cores."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pipeline.board import Phase, WorkerCells
from pipeline.judge import STARVED_SECONDS, fault_of
from pipeline.retry import RestartPolicy
from pipeline.seats import Seat

TICK_NS = 250_000_000
SECOND_NS = 1_000_000_000


@dataclass
class FakeProcess:
    is_stopped: bool = False
    waited_for_core_ns: int = 0


@pytest.fixture
def seat() -> Seat:
    cells = WorkerCells(memoryview(bytearray(8 * WorkerCells.size)).cast("q"))
    cells.phase, cells.deadline_ns = Phase.READING, SECOND_NS
    return Seat("camera", 2, cells, RestartPolicy(), source=0)


def faults(seat: Seat, process: FakeProcess, *, until_ns: int, waiting_share: float = 0.0) -> list[str]:
    found = []
    for now_ns in range(0, until_ns, TICK_NS):
        process.waited_for_core_ns = int(now_ns * waiting_share)
        if fault := fault_of(seat, process, now_ns=now_ns):
            found.append(f"{now_ns / SECOND_NS}: {fault}")
    return found


def test_a_worker_within_its_deadline_is_left_alone(seat: Seat) -> None:
    assert faults(seat, FakeProcess(), until_ns=SECOND_NS) == []
    seat.cells.deadline_ns = 0
    assert faults(seat, FakeProcess(), until_ns=9 * SECOND_NS) == []


def test_a_worker_past_its_deadline_hangs(seat: Seat) -> None:
    assert faults(seat, FakeProcess(), until_ns=3 * SECOND_NS)[0] == "1.5: hung while reading"


def test_a_late_worker_that_stamps_again_is_forgiven(seat: Seat) -> None:
    assert not fault_of(seat, FakeProcess(), now_ns=SECOND_NS + 1)
    seat.cells.deadline_ns = 10 * SECOND_NS
    assert faults(seat, FakeProcess(), until_ns=10 * SECOND_NS) == []
    assert seat.late is None


def test_a_worker_that_is_not_given_a_core_is_not_hung(seat: Seat) -> None:
    assert faults(seat, FakeProcess(), until_ns=60 * SECOND_NS, waiting_share=0.9) == []


def test_patience_with_a_starved_worker_has_an_end(seat: Seat) -> None:
    until_ns = round((STARVED_SECONDS + 3) * SECOND_NS)
    assert faults(seat, FakeProcess(), until_ns=until_ns, waiting_share=0.9) != []


def test_a_suspended_worker_is_found_out_within_a_second(seat: Seat) -> None:
    assert faults(seat, FakeProcess(is_stopped=True), until_ns=SECOND_NS)[0] == "0.75: was suspended"


def test_a_moment_of_suspension_is_nothing(seat: Seat) -> None:
    process = FakeProcess(is_stopped=True)
    for now_ns in range(3):
        assert not fault_of(seat, process, now_ns=now_ns)
    process.is_stopped = False
    assert not fault_of(seat, process, now_ns=4)
    assert seat.stopped_checks == 0
