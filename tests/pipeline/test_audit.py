"""The running check of the ledger: silent while it balances, and heard where a counter was tampered with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.audit import INTERVAL_SECONDS, REMIND_SECONDS, Audit
from pipeline.board import Board, SourceCells, changing
from pipeline.clock import ManualClock
from pipeline.config import check, parse
from pipeline.engines.local import LocalEngine
from pipeline.messages import RunStatistics
from pipeline.status import News, status_of
from pipeline.wire import decode_status, encode_status
from tests.pipeline.accounting import machine
from tests.pipeline.engines import wait_for

SECOND_NS = 1_000_000_000


class Watch:
    """The check of one source, by a clock that is turned by hand."""

    def __init__(self, cells: SourceCells) -> None:
        self.cells = cells
        self.told: list[str] = []
        self.clock = ManualClock(now_ns=SECOND_NS)
        self.audit = Audit(self.told.append, clock=self.clock)

    def look(self, *, after_seconds: float = INTERVAL_SECONDS) -> int:
        """Violations so far."""
        self.clock.sleep(after_seconds)
        self.audit.look([("door", self.cells)])
        return self.cells.audit.violations


@pytest.fixture
def cells() -> SourceCells:
    memory = Board.create(workers=1, sources=1)
    board = Board(memory, workers=1, sources=1)
    os.close(memory)
    row = board.sources[0].begin(1, by=board.sources[0].camera)
    assert row is not None
    row.captured, row.camera_sent, row.vision_received, row.vision_held = 5, 5, 5, 5
    return board.sources[0]


def test_a_ledger_that_balances_is_not_heard_of() -> None:
    with machine() as run:
        watch = Watch(run.cells)
        for action in ("capture", "receive", "capture", "kill_vision", "ready", "capture", "kill_publisher"):
            run.do(action)
            assert watch.look() == 0
        assert watch.told == []


def test_a_counter_that_was_tampered_with_is_counted_and_told_with_the_numbers(cells: SourceCells) -> None:
    watch = Watch(cells)
    assert watch.look() == 0
    cells.publisher.resulted += 2
    assert watch.look() == 1
    assert watch.told == [
        "door: the ledger does not balance, -2 frames are unaccounted for: 5 captured, 2 with a result, 0 dropped,"
        " 5 in flight (camera 0, to_vision 0, vision 5, to_publisher 0), violation 1 of this source; please report this"
    ]
    status = status_of("door", cells, news=News(), live=True, now_ns=0)
    assert (status.balance, status.ledger_violations) == (-2, 1)
    assert RunStatistics((status, status), 1.0).ledger_violations == 2
    assert decode_status(encode_status(status)) == status


def test_a_violation_is_counted_when_it_changes_and_told_of_once_a_minute(cells: SourceCells) -> None:
    watch = Watch(cells)
    cells.publisher.resulted = 1
    assert [watch.look() for _ in range(5)] == [1] * 5
    cells.publisher.resulted = 0
    assert watch.look() == 1
    cells.publisher.resulted = 3
    assert watch.look() == 2
    assert len(watch.told) == 1
    cells.publisher.resulted = 4
    assert watch.look(after_seconds=REMIND_SECONDS) == 3
    assert len(watch.told) == 2


def test_less_than_no_frames_in_flight_is_a_violation(cells: SourceCells) -> None:
    cells.publisher.resulted, cells.rows[1].vision_held = 6, -1
    assert Watch(cells).look() == 1


def test_what_a_worker_is_just_changing_is_not_judged(cells: SourceCells) -> None:
    watch = Watch(cells)
    with changing(cells.camera):
        cells.rows[1].captured += 1
        assert watch.look() == 0
        cells.rows[1].camera_held += 1
    assert watch.look() == 0


def test_it_looks_once_a_second(cells: SourceCells) -> None:
    watch = Watch(cells)
    watch.look()
    cells.publisher.resulted += 1
    assert watch.look(after_seconds=INTERVAL_SECONDS / 2) == 0
    assert watch.look(after_seconds=INTERVAL_SECONDS / 2) == 1


def test_a_running_engine_tells(tmp_path: Path) -> None:
    config = check(
        parse(
            {
                "sources": ["a=rtsp://fake?fps=50", "b=rtsp://fake?fps=50"],
                "detector": "model",
                "publish": {"bind": None},
                "supervisor": {"state_directory": str(tmp_path)},
            }
        )
    )
    with LocalEngine(config, builder="tests.pipeline.fake_build") as engine:
        engine.start()
        wait_for(lambda: all(source.resulted > 5 for source in engine.statistics().sources))
        assert engine.statistics().ledger_violations == 0
        row = engine._roster.shared.board.sources[0].open_rows[0]

        def found() -> bool:
            row.captured += 7  # again, should its worker have written in the same moment
            return engine.statistics().sources[0].ledger_violations > 0

        wait_for(found)
        wait_for(lambda: bool(engine.complaints))
        assert "a: the ledger does not balance" in engine.complaints[0]
        assert engine.statistics().sources[1].ledger_violations == 0
