"""Workers that die, hang, or do nothing but die: detected, replaced, declared, and nothing left behind.

`EVERYFRAME_KILLS=1000 pytest tests/faults/test_processes.py -k kills` is the long form of the storm.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.epochs import EpochStore
from pipeline.messages import Gap
from pipeline.retry import RestartPolicy
from tests.faults.running import (
    BUILDER,
    allowed,
    bound_addresses,
    children_of,
    is_running,
    local_sockets,
    running,
    segments,
    sockets_of,
    storm,
)
from tests.pipeline.engines import check_in_order

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("EVERYFRAME_KILLS", "8"))
CAMERAS = ("a=rtsp://fake?fps=50", "b=rtsp://fake?fps=50")
signals = pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])


@pytest.mark.fault("a camera worker SIGKILLed or SIGSTOPped", promise="detected within 3 s, replaced; no other notices")
@signals
def test_a_camera_worker_struck(number: signal.Signals, tmp_path: Path, seen: Callable[[str], None]) -> None:
    with running(tmp_path, *CAMERAS) as run:
        run.strike("camera", number, source=0)
        before = len(run.listener.results("b"))
        detected = run.until(lambda: len(run.engine.complaints) == 1)
        resumed = detected + run.until(lambda: run.listener.epoch("a") == 2)
        meanwhile = len(run.listener.results("b")) - before
        run.stop()
    assert detected < allowed(3)
    assert meanwhile > 5
    for name in "ab":
        check_in_order(run.listener.of(name), name)
    assert [complaint.partition(" ended")[0] for complaint in run.engine.complaints] == ["the camera worker of a"]
    lost = [item for item in run.listener.of("a") if isinstance(item, Gap) and item.reason == "worker_restart"]
    assert sum(gap.count for gap in lost) == run.status("a").dropped.get("worker_restart", 0)
    others = run.listener.of("b")
    assert {item.epoch for item in others} == {1}
    assert not [item for item in others if isinstance(item, Gap) and item.reason == "worker_restart"]
    times = [at for at, _ in run.listener.results("b")]
    pause = max(later - at for at, later in itertools.pairwise(times))
    seen(
        f"{number.name}: detected {detected:.1f} s, next frame {resumed:.1f} s, {meanwhile} results of the other until"
        f" then, its longest pause {pause:.2f} s"
    )


@pytest.mark.fault(
    "the vision worker or the publisher SIGKILLed or SIGSTOPped",
    promise="every source goes on within 5 s in a new epoch, nothing twice",
)
@pytest.mark.parametrize("role", ["vision", "publisher"])
@signals
def test_a_shared_worker_struck(role: str, number: signal.Signals, tmp_path: Path, seen: Callable[[str], None]) -> None:
    with running(tmp_path, *CAMERAS) as run:
        run.strike(role, number)
        detected = run.until(lambda: len(run.engine.complaints) == 1)
        resumed = detected + run.until(lambda: {run.listener.epoch(name) for name in "ab"} == {2})
        run.stop()
        lost = {name: sum(run.status(name).dropped.values()) for name in "ab"}
        reasons = {name: set(run.status(name).dropped) for name in "ab"}
    assert detected < allowed(3)
    assert resumed < allowed(5)
    assert "worker_restart" in reasons["a"]
    for name in "ab":
        check_in_order(run.listener.of(name), name)
        identities = [(result.epoch, result.seq) for _, result in run.listener.results(name)]
        assert len(identities) == len(set(identities))
        assert lost[name] > 0
    seen(f"{role} {number.name}: found {detected:.1f} s, all on in {resumed:.1f} s, {sum(lost.values())} frames lost")


@pytest.mark.fault(
    "shared memory after many kills", promise="the ledger balances throughout; no segment, child or socket is left"
)
def test_kills_of_every_role_leave_nothing_behind(tmp_path: Path, seen: Callable[[str], None]) -> None:
    before, children = len(os.listdir("/proc/self/fd")), children_of(os.getpid())
    with running(tmp_path, *CAMERAS) as run:
        struck = storm(run, kills=KILLS, seed=3, sources=len(CAMERAS), most_pause_seconds=1.5 if KILLS < 100 else 0.5)
        run.stop()
        assert run.engine.statistics().ledger_violations == 0
    polls, addresses = run.polls, {address.removeprefix("ipc://") for address in run.addresses}
    frames = sum(source.captured for source in run.engine.statistics().sources)
    del run
    assert segments() == set()
    assert set(children_of(os.getpid())) <= set(children)  # other tests of this process may have some
    assert not addresses & bound_addresses()
    assert len(os.listdir("/proc/self/fd")) <= before
    seen(f"{struck} kills: {frames} frames, each once; {polls} polls balance; 0 segments, children, sockets")


SUPERVISOR = f"""
import os, signal, sys, time
from pipeline.config import check, parse
from pipeline.engines.local import LocalEngine
sources = ["a=rtsp://fake?fps=50", "b=rtsp://fake?fps=50"]
supervisor = {{"state_directory": sys.argv[1]}}
settings = {{"sources": sources, "detector": "model", "publish": {{"bind": None}}, "supervisor": supervisor}}
engine = LocalEngine(check(parse(settings)), builder={BUILDER!r})
engine.start()
while any(source.resulted < 5 for source in engine.statistics().sources): time.sleep(0.05)
print("running", flush=True)
time.sleep(600)
"""


@pytest.mark.fault("the supervisor itself SIGKILLed", promise="no segment, child or socket is left")
def test_nothing_outlives_the_supervisor(tmp_path: Path, seen: Callable[[str], None]) -> None:
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"running\n"
        workers = children_of(supervisor.pid)
        assert len(workers) == 4
        sockets = sockets_of([supervisor.pid, *workers])
        assert len(sockets) > 4
        camera = max(workers)  # started last; one that hangs cannot see that its supervisor is gone
        os.kill(camera, signal.SIGSTOP)
        supervisor.kill()
        struck = time.monotonic()
    deadline = struck + allowed(10)
    while (any(is_running(pid) for pid in workers) or sockets & local_sockets()) and time.monotonic() < deadline:
        time.sleep(0.02)
    took = time.monotonic() - struck
    assert not [pid for pid in workers if is_running(pid)]
    assert not sockets & local_sockets()
    assert segments() == set()
    assert EpochStore(tmp_path).issue("a") == 2  # no epoch is given twice, whatever ended
    seen(f"4 workers, one suspended, and {len(sockets)} sockets gone {took:.1f} s after")


@pytest.mark.fault("crash loop", promise="5 restarts in 60 s, then backs off and says so; the rest runs on")
def test_a_crash_loop(tmp_path: Path, seen: Callable[[str], None]) -> None:
    with running(tmp_path, *CAMERAS) as run:
        seat = next(seat for seat in run.engine._roster.seats if seat.source == 0)
        seat.policy = RestartPolicy(pause_seconds=2.0)
        for death in range(1, 6):
            run.until(lambda: run.strike("camera", signal.SIGKILL, source=0))
            run.until(lambda death=death: len(run.engine.complaints) == death)  # type: ignore[misc]
        assert "that is 5 times within 60 s, so it is tried again in 2 s" in run.engine.complaints[-1]
        assert [complaint for complaint in run.engine.complaints if "times within" in complaint] == [
            run.engine.complaints[-1]
        ]
        assert (run.status("a").state, "5 times within" in run.status("a").message) == ("FAULTED", True)
        waited = run.until(lambda: run.pid("camera", source=0) is not None)
        before = len(run.listener.results("b"))
        run.until(lambda: len(run.listener.results("b")) > before)
        run.until(lambda: run.listener.epoch("a") > 1)
        run.stop()
    assert {item.epoch for item in run.listener.of("b")} == {1}
    assert waited > 1
    seen(f"after 5 deaths FAULTED, tried again {waited:.1f} s later and well; the other camera never stopped")


@pytest.mark.fault("crash loop", promise="a stream that kills its decoder is named; it costs its own frames only")
def test_a_stream_that_kills_its_decoder(tmp_path: Path, seen: Callable[[str], None]) -> None:
    """On a CPU every source is decoded in a process of its own, from the start."""
    with running(tmp_path, "a=rtsp://fake?fps=50&dies_at=8", "b=rtsp://fake?fps=50") as run:
        seats = run.engine._roster.seats
        next(seat for seat in seats if seat.source == 0).policy = RestartPolicy(limit=3, pause_seconds=3600.0)
        run.until(lambda: "3 times within 60 s" in run.status("a").message)
        before = len(run.listener.results("b"))
        run.until(lambda: len(run.listener.results("b")) > before + 5)
        status = run.status("a")
        run.stop()
    assert (status.state, status.message.partition(" ended")[0]) == ("FAULTED", "the camera worker of a")
    assert "SIGKILL" in status.message
    assert {item.epoch for item in run.listener.of("b")} == {1}
    assert [seat.starts for seat in seats if seat.role != "camera"] == [1, 1]
    seen(f"{status.message}; the other source and all other workers go on")


@pytest.mark.fault("crash loop", promise="5 restarts in 60 s, then backs off and says so; the rest runs on")
@pytest.mark.parametrize("role", ["vision", "publisher"])
def test_a_crash_loop_of_a_shared_worker(role: str, tmp_path: Path, seen: Callable[[str], None]) -> None:
    with running(tmp_path, *CAMERAS) as run:
        next(seat for seat in run.engine._roster.seats if seat.role == role).policy = RestartPolicy(
            limit=2, pause_seconds=2.0
        )
        cameras = [run.pid("camera", source) for source in (0, 1)]
        for death in (1, 2):
            run.until(lambda: run.strike(role, signal.SIGKILL))
            run.until(lambda death=death: len(run.engine.complaints) == death)  # type: ignore[misc]
        assert "that is 2 times within 60 s, so it is tried again in 2 s" in run.engine.complaints[-1]
        waited = run.until(lambda: run.pid(role) is not None)
        epochs = {name: run.listener.epoch(name) for name in "ab"}
        run.until(lambda: all(run.listener.epoch(name) > epochs[name] for name in "ab"))
        assert [run.pid("camera", source) for source in (0, 1)] == cameras
        run.stop()
    assert waited > 1
    seen(f"{role}: tried again {waited:.1f} s later and well; both cameras' workers never stopped")
