"""One clip through everyframe's local engine, timed from its first result to its last.

``python -m tests.benchmarks.ours CLIP MODEL`` prints one line of JSON: frames, seconds, frames a second, and the CPU
seconds a frame of all processes together, start-up left out of both.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import psutil

from pipeline.config import check, parse
from pipeline.engines.local import LocalEngine

POLL_SECONDS = 0.05


def cpu_seconds() -> float:
    """CPU time so far of this process and all its children, those that have ended included."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    own = psutil.Process().cpu_times()
    alive = (process.cpu_times() for process in processes)
    return sum(times.user + times.system for times in alive) + own.children_user + own.children_system


def run(settings: dict[str, Any]) -> dict[str, float]:
    """Run to the end. Raises `RuntimeError` where the ledger does not balance or a frame is missing."""
    config = check(parse({"publish": {"bind": None}, **settings}))
    with LocalEngine(config) as engine:
        engine.start()
        while engine.statistics().resulted == 0:
            time.sleep(POLL_SECONDS / 10)
        begin = (engine.statistics().resulted, time.perf_counter(), cpu_seconds())
        while not engine.wait(POLL_SECONDS):
            pass
        end = (engine.statistics().resulted, time.perf_counter(), cpu_seconds())
        status = engine.statistics().sources[0]
    if status.balance or status.captured != status.resulted:
        raise RuntimeError(f"frames are missing: {status}")
    frames, seconds, cpu = (after - before for after, before in zip(end, begin, strict=True))
    return {"frames": end[0], "seconds": seconds, "fps": frames / seconds, "cpu_seconds_a_frame": cpu / frames}


def main() -> None:
    """Run one clip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip")
    parser.add_argument("model", type=Path)
    parser.add_argument("--precision", default="auto")
    arguments = parser.parse_args()
    detector = {"model": str(arguments.model), "precision": arguments.precision}
    print(json.dumps(run({"sources": [arguments.clip], "detector": detector})))


if __name__ == "__main__":
    main()
