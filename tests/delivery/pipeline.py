"""A pipeline in a process of its own, to be killed: ``python -m tests.delivery.pipeline CONFIG SETTLED``.

It runs a configuration with fake cameras, notes in the file SETTLED how far each source is settled, and obeys lines on
its standard input: ``kill ROLE [SOURCE]``, ``suspend ROLE [SOURCE]``, ``stop``. Everything is written with plain system
calls, so that a file holds it when this process is killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

from pipeline.config import check, load
from pipeline.engines.local import LocalEngine
from pipeline.messages import FrameResult
from pipeline.retry import RestartPolicy

BUILDER = "tests.pipeline.fake_build"
SIGNALS = {"kill": signal.SIGKILL, "suspend": signal.SIGSTOP}


def note_settled(engine: LocalEngine, path: Path) -> None:
    """Write a line for every item that the engine gives: source, epoch, and how many frames of it are settled."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for item in engine.results():
        frames = (item.seq if isinstance(item, FrameResult) else item.last_seq) + 1
        os.write(descriptor, f"{item.source_id} {item.epoch} {frames}\n".encode())
    os.close(descriptor)


def obey(engine: LocalEngine, line: str) -> bool:
    """Do what a line says; whether to go on."""
    verb, *rest = line.split()
    if verb == "stop":
        return False
    role, source_id = rest[0], rest[1] if len(rest) > 1 else ""
    roster = engine._roster
    for seat in roster.seats:
        child = seat.child
        if seat.role == role and source_id in ("", roster.source_id(seat)) and child is not None:
            os.kill(child.pid, SIGNALS[verb])
    return True


def main(config_path: str, settled_path: str) -> None:
    """Run until told to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with LocalEngine(check(load(config_path)), deliver=True, builder=BUILDER) as engine:
        for seat in engine._roster.seats:
            seat.policy = RestartPolicy(window_seconds=0.0)
        engine.start()
        reader = threading.Thread(target=note_settled, args=(engine, Path(settled_path)))
        reader.start()
        print(json.dumps({"address": engine.address}), flush=True)
        for line in sys.stdin:
            if not obey(engine, line):
                break
        engine.stop()
        reader.join()
        ledgers = {
            source.source_id: {
                "captured": source.captured,
                "resulted": source.resulted,
                "dropped": sum(source.dropped.values()),
                "violations": source.ledger_violations,
            }
            for source in engine.statistics().sources
        }
        counts = engine.sink_counts
        print(
            json.dumps({"ledgers": ledgers, "complaints": list(engine.complaints), "counts": repr(counts)}), flush=True
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
