"""How the supervisor and its workers are, read while a run goes on with real processes and made-up frames."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.board import Board
from pipeline.config import check, parse
from pipeline.engines.local import LocalEngine
from pipeline.events import Event, EventLog, Level
from pipeline.latency import BUCKETS, bucket_of, upper_bound_ms
from pipeline.usage import usage_of
from pipeline.vitals import Vitals, WorkerVitals, source_vitals_of
from tests.pipeline.engines import wait_for


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    settings = {
        "publish": {"bind": None},
        "output": {"directory": str(tmp_path / "results")},
        "supervisor": {"state_directory": str(tmp_path / "state")},
        "sources": ["door=rtsp://fake?fps=50", "yard=rtsp://fake?fps=50"],
        "detector": "model?delay_ms=1",
    }
    with LocalEngine(check(parse(settings)), builder="tests.pipeline.fake_build") as engine:
        engine.start()
        yield engine


def worker(engine: LocalEngine, role: str, source_id: str = "") -> WorkerVitals:
    (found,) = [w for w in engine.vitals().workers if (w.role, w.source_id) == (role, source_id)]
    return found


def test_the_vitals_of_a_run_that_works_and_loses_a_worker(engine: LocalEngine) -> None:
    wait_for(lambda: not engine.vitals().hindrances, "ready")
    wait_for(lambda: all(w.up for w in engine.vitals().workers), "all workers up")
    vitals = engine.vitals()
    assert vitals.ailments == ()
    assert vitals.judged_seconds_ago < 10.0
    assert [(w.role, w.source_id) for w in vitals.workers] == [
        ("vision", ""),
        ("publisher", ""),
        ("camera", "door"),
        ("camera", "yard"),
    ]
    before = worker(engine, "camera", "door")
    usage = usage_of(before.pid, parent=os.getpid())
    assert usage is not None
    assert usage.resident_bytes > 1_000_000
    os.kill(before.pid, signal.SIGKILL)
    wait_for(lambda: worker(engine, "camera", "door").restarts == 1, "replaced")
    assert worker(engine, "camera", "yard").restarts == 0

    events, seen = engine.events_since(0)
    (ended,) = [event for event in events if event.name == "worker_ended"]
    assert (ended.source_id, ended.level, ended.details["worker"]) == ("door", Level.WARNING, "camera")
    assert "SIGKILL" in ended.message
    assert {e.details["worker"] for e in events if e.name == "worker_ready"} == {"vision", "publisher"}
    assert engine.events_since(seen) == ([], seen)


def test_what_a_status_sums_up_and_what_sinks_took_is_known_while_the_run_goes_on(engine: LocalEngine) -> None:
    wait_for(lambda: sum(engine.source_vitals()[0].latencies) > 20, "results")
    wait_for(lambda: engine.sink_counts.taken.get("jsonl", {}).get("yard", 0) > 0, "the sink's counts")
    vitals = engine.source_vitals()[0]
    assert vitals.source_id == "door"
    assert len(vitals.latencies) == BUCKETS
    assert 0 < vitals.latency_total_seconds < sum(vitals.latencies) * 60
    assert vitals.last_frame_age_seconds is not None
    wait_for(lambda: engine.statistics().sources[0].resulted >= sum(vitals.latencies), "each latency is of a result")


def test_a_run_that_was_stopped_is_not_alive(engine: LocalEngine) -> None:
    engine.stop()
    assert engine.vitals().ailments == ("the supervisor has ended",)
    assert "the run is stopping" in engine.vitals().hindrances
    assert not any(w.up for w in engine.vitals().workers)


def test_a_supervisor_that_does_not_go_round_is_an_ailment() -> None:
    waiting = (WorkerVitals(role="vision", pid=7, phase="loading"), WorkerVitals(role="publisher"))
    vitals = Vitals(supervising=True, judged_seconds_ago=11.0, stopping=False, workers=waiting)
    assert vitals.ailments == ("the supervisor has not judged its workers for 11 s",)
    assert vitals.hindrances[1:] == ("the vision worker is loading", "the publisher is not running")


def test_the_vitals_of_a_source_without_a_frame() -> None:
    memory = Board.create(workers=1, sources=1)
    try:
        cells = Board(memory, workers=1, sources=1).sources[0]
    finally:
        os.close(memory)
    assert source_vitals_of("door", cells, now_ns=10**9).last_frame_age_seconds is None
    cells.camera.last_arrival_ns = 10**9
    cells.latency.record(12.5)
    cells.latency.record(7.5)
    vitals = source_vitals_of("door", cells, now_ns=3 * 10**9)
    assert vitals.last_frame_age_seconds == 2.0
    assert vitals.latency_total_seconds == pytest.approx(0.02)
    assert vitals.latencies[bucket_of(12.5)] == 1
    assert sum(vitals.latencies) == 2


@pytest.mark.parametrize("latency_ms", [0.01, 0.1, 0.11, 1.0, 33.3, 999.0, 6000.0, 1e9])
def test_a_latency_lies_below_the_bound_of_its_bucket(latency_ms: float) -> None:
    bucket = bucket_of(latency_ms)
    assert latency_ms <= upper_bound_ms(bucket)
    assert bucket == 0 or latency_ms >= upper_bound_ms(bucket - 1) * (1 - 1e-9)


def test_the_usage_of_a_process_that_has_gone_or_is_not_ours() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert usage_of(child.pid, parent=os.getpid()) is not None
    assert usage_of(child.pid, parent=1) is None
    child.communicate(b"\n")
    assert usage_of(child.pid, parent=os.getpid()) is None


def test_events_are_bounded_and_what_was_missed_is_told() -> None:
    log = EventLog(most=3)
    assert log.since(0) == ([], 0)
    log.add(Event("first", "one"))
    events, seen = log.since(0)
    assert ([event.name for event in events], seen) == (["first"], 1)
    for number in range(5):
        log.add(Event("later", str(number)))
    events, seen = log.since(seen)
    assert [event.name for event in events] == ["events_missed", "later", "later", "later"]
    assert (events[0].details["count"], events[-1].message, seen) == (2, "4", 6)
    assert log.since(seen) == ([], 6)
