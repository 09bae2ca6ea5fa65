"""An engine with the real decoder, watched from outside as a program would."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.config import check, parse
from pipeline.engines.local import LocalEngine
from pipeline.messages import SourceStatus

PATIENCE_SECONDS = 90.0  # on a machine that is busy with other things
POLL_SECONDS = 0.02
BUILDER = "tests.pipeline.numbered_build"


class Watched:
    """A started engine, and every state that each of its sources was seen in."""

    def __init__(self, *sources: Any, folder: Path, builder: str = BUILDER, **supervisor: Any) -> None:
        settings = {
            "sources": list(sources),
            "publish": {"bind": "tcp://127.0.0.1:*"},
            "supervisor": {"state_directory": str(folder), **supervisor},
        }
        self.engine = LocalEngine(check(parse(settings)), builder=builder)
        self.states: dict[str, list[str]] = {}
        self.engine.start()

    def status(self, source_id: str) -> SourceStatus:
        """One source now."""
        return self.now()[source_id]

    def now(self) -> dict[str, SourceStatus]:
        """All sources now; their states are taken note of."""
        statuses = {status.source_id: status for status in self.engine.statistics().sources}
        for source_id, status in statuses.items():
            seen = self.states.setdefault(source_id, [])
            if seen[-1:] != [status.state]:
                seen.append(status.state)
        return statuses

    def until(self, true: Callable[[dict[str, SourceStatus]], bool], *, seconds: float = PATIENCE_SECONDS) -> float:
        """Wait for something to come true of the sources; how many seconds that took."""
        started = time.monotonic()
        while not true(now := self.now()):
            assert time.monotonic() - started < seconds, [f"{s.source_id} {s.state}: {s.message}" for s in now.values()]
            time.sleep(POLL_SECONDS)
        return time.monotonic() - started

    def until_state(self, **states: str) -> float:
        """Wait until sources have been in the states named, not all at the same time."""
        return self.until(lambda _: all(state in self.states[name] for name, state in states.items()))

    def camera_pids(self) -> list[int]:
        """The processes of the camera workers, in the order of their sources."""
        return [seat.child.pid for seat in self.engine._roster.cameras if seat.child is not None]

    def worker_pids(self) -> list[int]:
        """All worker processes."""
        return [seat.child.pid for seat in self.engine._roster.seats if seat.child is not None]


def is_gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def resources_of(pid: int) -> dict[str, float]:
    """What a process holds: descriptors, threads, children, memory in MB."""
    process = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    children: list[str] = []
    for task in (process / "task").iterdir():
        with suppress(FileNotFoundError):  # a thread has just ended
            children += (task / "children").read_text().split()
    return {
        "descriptors": len(os.listdir(process / "fd")),
        "threads": int(status["Threads"]),
        "children": len(children),
        "memory_mb": int(status["VmRSS"].split()[0]) / 1024,
    }
