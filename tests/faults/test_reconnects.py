"""Thousands of reconnects leave nothing behind: no descriptor, no thread, no process, no memory.

The count is `EVERYFRAME_RECONNECTS`, 200 by default; for the full one:

    EVERYFRAME_RECONNECTS=10000 pytest tests/faults/test_reconnects.py -s
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.fixtures import Seen, Watch
from tests.faults.watching import POLL_SECONDS, resources_of

RECONNECTS = int(os.environ.get("EVERYFRAME_RECONNECTS", "200"))
WARM_UP = 20  # reconnects until every cache is as large as it gets
MEMORY_MB = 20.0
SECONDS_EACH = 2.0  # on a machine that is busy with other things
NO_TIME = 1e-3  # of back-off
SAMPLES, MOST_SAMPLES = 50, 500
KEPT = ("descriptors", "threads", "children")


@pytest.fixture
def fickle_camera() -> Iterator[str]:
    """Hangs up after three pictures, again and again; in a process of its own, so that ours can be measured."""
    command = [sys.executable, "-m", "tests.cameras", "--hang-up-after", "3"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


@pytest.mark.fault("thousands of reconnects", promise="+0 descriptors, threads, children; at most +20 MB")
def test_reconnects_leave_nothing_behind(fickle_camera: str, watched: Watch, seen: Seen) -> None:
    run = watched(f"door={fickle_camera}", retry_first_seconds=NO_TIME, retry_max_seconds=NO_TIME)
    run.until(lambda now: now["door"].reconnects >= WARM_UP)
    workers = run.worker_pids()
    everybody = {"supervisor": os.getpid(), **dict(zip(("vision", "publisher", "camera"), workers, strict=True))}
    before = {name: least(pid) for name, pid in everybody.items()}
    took = run.until(lambda now: now["door"].reconnects >= WARM_UP + RECONNECTS, seconds=60 + SECONDS_EACH * RECONNECTS)
    assert run.worker_pids() == workers
    assert run.status("door").epoch >= RECONNECTS
    after = {name: least(pid, down_to=before[name]) for name, pid in everybody.items()}
    grown = {f"{name}: {what}": after[name][what] - before[name][what] for name in everybody for what in KEPT}
    assert {what: more for what, more in grown.items() if more > 0} == {}
    more = {name: after[name]["memory_mb"] - before[name]["memory_mb"] for name in everybody}
    assert max(more.values()) <= MEMORY_MB
    seen(
        f"{RECONNECTS} reconnects in {took:.0f} s: +0 descriptors, threads and children in every process; memory "
        + ", ".join(f"{name} {mb:+.1f} MB" for name, mb in more.items())
    )


def least(pid: int, *, down_to: dict[str, float] | None = None) -> dict[str, float]:
    """The least that a process holds within a while: while a session lasts, its connection is open.

    Where that is more than what it once went down to, a longer while, in which it will be less unless something stays.
    """
    samples: list[dict[str, float]] = []
    held: dict[str, float] = {}
    while len(samples) < SAMPLES or (
        down_to and len(samples) < MOST_SAMPLES and any(held[w] > down_to[w] for w in KEPT)
    ):
        samples.append(resources_of(pid))
        held = {what: min(sample[what] for sample in samples) for what in samples[0]}
        time.sleep(POLL_SECONDS)
    return held
