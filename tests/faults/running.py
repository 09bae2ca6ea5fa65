"""What tests of dying workers share: an engine that is read from all the time, and what it leaves behind."""

from __future__ import annotations

import gc
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.config import check, parse
from pipeline.engines.local import LocalEngine
from pipeline.messages import FrameResult, Gap, SourceStatus
from pipeline.retry import RestartPolicy

BUILDER = "tests.pipeline.fake_build"
DEADLINE_SECONDS = 90.0  # for what must come true at last, on a machine that others use too


def allowed(seconds: float) -> float:
    """A promised time, longer on a machine whose cores are taken by others."""
    return seconds * max(1.0, 2 * os.getloadavg()[0] / (os.cpu_count() or 1))


class Listener(threading.Thread):
    """Reads all that an engine gives, and when each item came."""

    def __init__(self, engine: LocalEngine) -> None:
        super().__init__(name="listener", daemon=True)
        self._engine = engine
        self.items: list[tuple[float, FrameResult | Gap]] = []

    def run(self) -> None:
        for item in self._engine.results():
            self.items.append((time.monotonic(), item))

    def of(self, source_id: str) -> list[FrameResult | Gap]:
        return [item for _, item in list(self.items) if item.source_id == source_id]

    def results(self, source_id: str) -> list[tuple[float, FrameResult]]:
        return [
            (at, item) for at, item in list(self.items) if isinstance(item, FrameResult) and item.source_id == source_id
        ]

    def epoch(self, source_id: str) -> int:
        """That of the newest result; 0 before the first."""
        return max((result.epoch for _, result in self.results(source_id)), default=0)


class Running:
    """An engine at work, its results read, its ledger looked at whenever something is waited for."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine
        self.listener = Listener(engine)
        self.polls = 0
        self.addresses: set[str] = set()

    def status(self, source_id: str) -> SourceStatus:
        return next(status for status in self.engine.statistics().sources if status.source_id == source_id)

    def poll(self) -> None:
        """The ledger balances, now."""
        statistics = self.engine.statistics()
        assert all(source.balance == 0 for source in statistics.sources), statistics
        assert statistics.ledger_violations == 0
        self.polls += 1
        self.addresses |= {seat.inlet for seat in self.engine._roster.seats if seat.inlet}

    def until(self, true: Callable[[], bool], *, seconds: float = DEADLINE_SECONDS) -> float:
        """Wait for something; how long it took."""
        started = time.monotonic()
        while not true():
            assert time.monotonic() - started < seconds, (self.engine.complaints, self.engine.statistics())
            self.poll()
            time.sleep(0.02)
        return time.monotonic() - started

    def pid(self, role: str, source: int = -1) -> int | None:
        """The worker in a seat; None while it is vacant."""
        seats = [s for s in self.engine._roster.seats if s.role == role and (source < 0 or s.source == source)]
        child = seats[0].child
        return None if child is None else child.pid

    def strike(self, role: str, number: signal.Signals, source: int = -1) -> bool:
        """Send a signal to a worker, if there is one."""
        pid = self.pid(role, source)
        if pid is not None:
            os.kill(pid, number)
        return pid is not None

    def stop(self) -> None:
        """In good order; then every frame has been read once, as a result or in a gap."""
        self.engine.stop()
        self.listener.join(DEADLINE_SECONDS)
        assert not self.listener.is_alive()
        self.poll()
        for source in self.engine.statistics().sources:
            assert source.in_flight == 0
            assert frames_in(self.listener.of(source.source_id)) == source.captured


@contextmanager
def running(state: Path, *sources: Any, model: str = "model?delay_ms=1", **settings: Any) -> Iterator[Running]:
    """An engine of fake sources; its workers are replaced at once however often they die."""
    supervisor = {"state_directory": str(state), **settings.pop("supervisor", {})}
    values = {"publish": {"bind": None}, **settings, "sources": list(sources), "detector": model}
    config = check(parse({**values, "supervisor": supervisor}))
    with LocalEngine(config, deliver=True, builder=BUILDER) as engine:
        for seat in engine._roster.seats:
            seat.policy = RestartPolicy(window_seconds=0.0)
        engine.start()
        run = Running(engine)
        run.listener.start()
        run.until(lambda: all(len(run.listener.results(source.source_id)) > 5 for source in config.source_configs))
        yield run


def frames_in(items: list[FrameResult | Gap]) -> int:
    """Frames that one source's items speak of, each exactly once: in order, without a hole in any epoch."""
    at, frames = (0, 0), 0
    for item in items:
        first, last = (item.first_seq, item.last_seq) if isinstance(item, Gap) else (item.seq, item.seq)
        assert (item.epoch, first) == at or (item.epoch > at[0] and first == 0), (at, item)
        at, frames = (item.epoch, last + 1), frames + last + 1 - first
    return frames


def storm(run: Running, *, kills: int, seed: int, sources: int, most_pause_seconds: float) -> int:
    """Kill or suspend workers of every role at seeded times; how many. All sources give results again at the end."""
    chance = random.Random(seed)
    struck = 0
    while struck < kills:
        role = chance.choice(("camera", "camera", "vision", "publisher"))
        number = chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP))
        struck += run.strike(role, number, chance.randrange(sources) if role == "camera" else -1)
        calm_at = time.monotonic() + chance.uniform(0.0, most_pause_seconds)
        run.until(lambda calm_at=calm_at: time.monotonic() >= calm_at)  # type: ignore[misc]
    for source in run.engine.statistics().sources:
        seen = len(run.listener.results(source.source_id))
        run.until(lambda name=source.source_id, seen=seen: len(run.listener.results(name)) > seen + 3)  # type: ignore[misc]
    return struck


# What is left behind.


def children_of(pid: int) -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _parent(entry) == pid]


def is_running(pid: int) -> bool:
    return _stat(Path(f"/proc/{pid}"))[:1] not in ([], [b"Z"], [b"X"])


def _stat(entry: Path) -> list[bytes]:
    """The state and what follows it."""
    try:
        return (entry / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []


def _parent(entry: Path) -> int:
    fields = _stat(entry)
    return int(fields[1]) if fields else -1


def sockets_of(pids: list[int]) -> set[str]:
    """The inodes of local sockets that processes hold."""
    found = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            target = os.readlink(link)
            found |= {target[8:-1]} if target.startswith("socket:[") else set()
    return found & local_sockets()


def local_sockets() -> set[str]:
    """The inodes of all local sockets there are."""
    return {line.split()[6] for line in Path("/proc/net/unix").read_text().splitlines()[1:]}


def bound_addresses() -> set[str]:
    return {fields[7] for line in Path("/proc/net/unix").read_text().splitlines() if len(fields := line.split()) > 7}


def segments() -> set[str]:
    """Shared memory of ours that this process still maps or holds, and names in /dev/shm."""
    gc.collect()
    lines = [line for line in Path("/proc/self/maps").read_text().splitlines() if "memfd:everyframe" in line]
    held = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            held.append(os.readlink(link))
        except FileNotFoundError:  # that of the listing itself
            continue
    return {*lines, *(name for name in held if "memfd:everyframe" in name), *_named_segments()}


def _named_segments() -> set[str]:
    shm = Path("/dev/shm")
    if not shm.is_dir():
        return set()
    # A folder is none, but where a fuzzing run keeps its files.
    return {entry.name for entry in shm.iterdir() if "everyframe" in entry.name and entry.is_file()}
