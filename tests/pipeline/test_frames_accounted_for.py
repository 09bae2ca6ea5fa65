"""The real accounting of camera, vision worker and publisher over memory links, in any order of events and deaths.

At every instant `captured = resulted + dropped + in flight`; what is published is in order, never twice, and complete.
`tests/faults/test_ledger.py` has deaths at every write.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pipeline.accounting import ACTIONS, check_read, machine

STEPS = ("capture",) * 4 + ("receive", "submit", "complete") * 2 + ("hand_on", "publish", "ready") * 2 + tuple(ACTIONS)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=st.lists(st.sampled_from(STEPS), max_size=120), lossless=st.booleans())
def test_every_frame_is_accounted_for_at_every_instant(actions: list[str], lossless: bool) -> None:
    with machine(lossless=lossless) as run:
        for action in actions:
            run.do(action)
        run.drain()
        run.balance()
        assert run.status().in_flight == 0
        check_read(run)
        assert run.published == run.read


def test_frames_lost_with_a_publisher_are_lost_once() -> None:
    with machine() as run:
        for action in (*["capture"] * 4, "receive", "capture", "submit", "fail", "kill_publisher"):
            run.do(action)
        run.drain()
        assert run.status().dropped == {"worker_restart": 4, "backlog": 1}


def test_a_run_without_faults_loses_nothing() -> None:
    with machine(lossless=True) as run:
        for _ in range(20):
            for action in ("capture", "receive", "submit", "complete", "publish"):
                getattr(run, action)()
        run.drain()
        assert run.status().resulted == run.status().captured == 20
        assert run.status().dropped == {}
        assert run.ring.in_use == 0


@pytest.mark.parametrize("worker", ["camera", "vision", "publisher"])
def test_a_death_costs_the_frames_in_flight_and_starts_a_new_epoch(worker: str) -> None:
    with machine() as run:
        for action in ("capture", "receive", "submit", "complete", "publish", "capture"):
            getattr(run, action)()
        run.do(f"kill_{worker}")
        assert run.status().in_flight == 1
        run.do("ready")
        for action in ("capture", "receive", "submit", "complete", "publish"):
            getattr(run, action)()
        status = run.status()
        assert (status.captured, status.resulted, status.dropped) == (3, 2, {"worker_restart": 1})
        assert status.epoch == 2


def test_what_a_publisher_may_not_have_sent_is_declared_lost_by_the_next() -> None:
    seen = set()
    for dies_at in range(60):
        with machine() as run:
            for action in ("capture", "receive", "submit", "complete"):
                run.do(action)
            run.do("publish", dies_at=dies_at)
            seen.add((run.status().resulted, run.status().dropped.get("worker_restart", 0), *run.published))
    result, gap = (1, 0, 0, True), (1, 0, 0, False)
    assert seen == {(0, 0), (0, 1, result, gap), (1, 0, result)}  # in flight yet; out, but who knows; out


def test_an_abandonment_that_is_heard_late_leaves_the_replacement_alone() -> None:
    with machine() as run:
        for action in ("capture", "kill_camera", "capture", "hear", "close_abandoned"):
            run.do(action)
        assert [row.epoch for row in run.cells.open_rows] == [2]
        for action in ("receive", "submit", "complete", "publish"):
            run.do(action)
        assert (run.status().resulted, run.status().dropped) == (1, {"worker_restart": 1})
