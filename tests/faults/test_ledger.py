"""The ledger under every death: in memory at every single write of every worker, and with processes and signals."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pipeline.accounting import ACTIONS, Machine, check_read, machine

WORKING = ("capture",) * 4 + ("receive", "submit", "complete") * 2 + ("hand_on", "publish", "ready") * 2
STEPS = WORKING + tuple(ACTIONS)
# An action, and the write of it at which its worker dies; mostly none.
EVENTS = st.tuples(st.sampled_from(STEPS), st.one_of(st.none(), st.none(), st.none(), st.integers(0, 24)))

# Every worker does everything it ever does at least once: frames sent, lost, overtaken, failed, epochs ended.
SCENARIO = (
    *["capture"] * 5,
    "receive",
    "capture",
    *["submit", "complete", "publish"] * 2,
    "reconnect_camera",
    *["capture"] * 2,
    "receive",
    "submit",
    "fail",
    "kill_camera",
    "capture",
    "receive",
    "submit",
    "complete",
    *["publish"] * 6,
    "hear",
    "close_abandoned",
)
MOST_WRITES = 200


def finish(run: Machine) -> None:
    run.drain()
    run.balance()
    assert run.status().in_flight == 0
    check_read(run)
    results = [(epoch, first) for epoch, first, _, is_result in run.published if is_result]
    assert len(results) == len(set(results)), "a frame was published twice"
    assert results == sorted(results)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=st.lists(EVENTS, max_size=80), lossless=st.booleans())
def whatever_happens(events: list[tuple[str, int | None]], lossless: bool) -> None:
    with machine(lossless=lossless) as run:
        for action, dies_at in events:
            run.do(action, dies_at=dies_at)
        finish(run)


@pytest.mark.fault("a worker killed at any write", promise="the ledger balances at every instant")
def test_the_ledger_balances_whatever_dies_in_the_middle_of_whatever(seen: Callable[[str], None]) -> None:
    whatever_happens()
    seen("100 random interleavings of work, losses, epochs and deaths: each frame once, as result or in a gap")


@pytest.mark.fault("a worker killed at any write", promise="each frame ends once, as result or in a gap")
def test_no_single_write_is_one_at_which_a_worker_may_not_die(seen: Callable[[str], None]) -> None:
    deaths = 0
    for at, victim in enumerate(SCENARIO):
        for write in range(MOST_WRITES):
            with machine() as run:
                for action in SCENARIO[:at]:
                    run.do(action)
                died = run.do(victim, dies_at=write)
                for action in ("ready", *SCENARIO[at + 1 :]):
                    run.do(action)
                finish(run)
            if not died:
                break
            deaths += 1
    assert deaths > 150
    seen(f"{deaths} deaths, one at each write of a scenario")
