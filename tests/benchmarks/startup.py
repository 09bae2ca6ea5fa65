"""How long a person waits for `everyframe --help`, and how much of it is Python's own start.

``python -m tests.benchmarks.startup`` prints the table.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

ROUNDS = 11
MOST_SECONDS = 0.3
COMMANDS = {"everyframe --help": ["--help"], "everyframe run --help": ["run", "--help"]}


def fastest_ms(command: list[str]) -> float:
    """Wall time of a process from start to end; the fastest of several, the least disturbed."""
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - begin)
    return min(times) * 1e3


def run() -> list[dict[str, Any]]:
    """A row a command; `theirs` is the limit."""
    rows = []
    for name, arguments in COMMANDS.items():
        ours = fastest_ms([sys.executable, "-m", "pipeline.cli", *arguments])
        limit = MOST_SECONDS * 1e3
        rows.append(
            {
                "name": f"{name}, against {MOST_SECONDS} s",
                "ours": ours,
                "theirs": limit,
                "ratio": limit / ours,
                "unit": "ms",
                "target": 1.0,
            }
        )
    return rows


if __name__ == "__main__":
    print(f"{'python -c pass':<48} {fastest_ms([sys.executable, '-c', 'pass']):8.1f} ms")
    for each in run():
        print(f"{each['name']:<48} {each['ours']:8.1f} ms {each['ratio']:7.1f}x (target {each['target']:.0f}x)")
