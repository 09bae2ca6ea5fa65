"""`python -m tests.delivery --schedules 200`: proof of delivery, with a table and an exit code.

Each schedule kills workers, the publisher, everything or a consumer, swallows Redis' replies, restarts Redis, fills its
memory, or lets a reader sleep, as its seed draws; then every frame is looked for. `--messages 1000000` plays one
schedule that goes on until so many entries are stored. Exit code 0: acknowledged less applied equals declared, nothing
was applied twice, and every source is in order.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.delivery.schedule import Outcome, play

MESSAGE_SOURCES, MESSAGE_RATE = 4, 400
MESSAGE_PAUSE_SECONDS = 8.0  # at most between two strikes: what is started anew all the time stores little
ON_ONE_RIG = 10  # schedules, one after another, before every frame is looked for


def main() -> int:
    """Play, show, and judge."""
    parser = argparse.ArgumentParser(prog="python -m tests.delivery", description=__doc__)
    parser.add_argument("--schedules", type=int, default=200, help="how many (default: 200)")
    parser.add_argument("--seed", type=int, default=1, help="of the first; each next has the next")
    parser.add_argument("--actions", type=int, default=4, help="in a schedule")
    parser.add_argument("--messages", type=int, default=0, help="instead: one schedule until so many are stored")
    parser.add_argument("--output", type=Path, help="a JSON file for the outcomes")
    given = parser.parse_args()
    console = Console()
    started = time.monotonic()
    outcomes = list(_played(given, console))
    seconds = time.monotonic() - started
    console.print(_table(outcomes, seconds))
    if given.output is not None:
        report = {"seconds": round(seconds, 1), "outcomes": [asdict(outcome) for outcome in outcomes]}
        given.output.write_text(json.dumps(report, indent=1))
    return 1 if any(outcome.violations for outcome in outcomes) else 0


def _played(given: argparse.Namespace, console: Console) -> Iterator[Outcome]:
    count = 1 if given.messages else given.schedules
    many: dict[str, Any] = {
        "sources": MESSAGE_SOURCES,
        "rate": MESSAGE_RATE,
        "entries": given.messages,
        "pause_seconds": MESSAGE_PAUSE_SECONDS,
    }
    firsts = range(given.seed, given.seed + count, ON_ONE_RIG)
    for first in track(firsts, description="schedules", console=console):
        seeds = range(first, min(first + ON_ONE_RIG, given.seed + count))
        with tempfile.TemporaryDirectory(prefix="everyframe-delivery-") as folder:
            try:
                outcome = play(Path(folder), seeds, actions=given.actions, **(many if given.messages else {}))
            except AssertionError as exc:
                outcome = Outcome(tuple(seeds), violations=(f"the schedules did not come to their end: {exc}",))
        for violation in outcome.violations:
            console.print(f"seeds {first} to {seeds[-1]}: {violation}", style="red")
        yield outcome


def _table(outcomes: list[Outcome], seconds: float) -> Table:
    table = Table(title=f"{sum(len(outcome.seeds) for outcome in outcomes)} schedules in {seconds:.0f} s")
    table.add_column("what")
    table.add_column("figure", justify="right")
    for name in ("acknowledged", "applied", "declared", "repeated", "missed"):
        table.add_row(name, f"{sum(getattr(outcome, name) for outcome in outcomes):,}")
    for name, count in Counter(action for outcome in outcomes for action in outcome.actions).most_common():
        table.add_row(f"struck: {name}", str(count))
    table.add_row("violations", str(sum(len(outcome.violations) for outcome in outcomes)))
    return table


if __name__ == "__main__":
    sys.exit(main())
