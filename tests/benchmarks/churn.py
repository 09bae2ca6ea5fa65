"""What sources that come and go cost the others: their gaps between results, before and while others churn.

``python -m tests.benchmarks.churn [--rest 4] [--churn 20] [--seconds 20]``: cameras of 25 frames a second that make
their frames up, the real workers, links and shared memory between them, and a graph that takes 2 ms a frame. The row
is the 99th percentile of the time between two results of a camera that stays.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections import defaultdict
from typing import Any

from pipeline.config import check, parse
from pipeline.engines.local import LocalEngine
from pipeline.messages import FrameResult

BUILDER = "tests.pipeline.fake_build"
CAMERA = "rtsp://fake?fps=25"
WARM_UP_SECONDS = 3.0
AT_ONCE = 4  # sources that come, and go, together
STAY_SECONDS = 1.0
MOST_RATIO = 1.5


class Gaps:
    """Milliseconds between results of each source, in a thread that reads them; kept while `keep` is set."""

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        self._last: dict[str, float] = {}
        self._gaps: defaultdict[str, list[float]] = defaultdict(list)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def take(self) -> list[float]:
        """Those of the sources that stay since the last call."""
        taken, self._gaps = self._gaps, defaultdict(list)
        return sorted(gap for source_id, gaps in taken.items() if source_id.startswith("rest") for gap in gaps)

    def _read(self) -> None:
        for item in self._engine.results():
            if isinstance(item, FrameResult):
                now = time.monotonic()
                if item.source_id in self._last:
                    self._gaps[item.source_id].append((now - self._last[item.source_id]) * 1e3)
                self._last[item.source_id] = now


def percentile(values: list[float], share: float) -> float:
    """The value that `share` (0..1) do not exceed."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def churn(engine: LocalEngine, count: int) -> None:
    """Add and remove so many sources, a few at a time."""
    for first in range(0, count, AT_ONCE):
        names = [f"churn-{number}" for number in range(first, min(count, first + AT_ONCE))]
        for name in names:
            engine.add_source(f"{name}={CAMERA}")
        until = time.monotonic() + 60
        while time.monotonic() < until and any(
            status.source_id in names and not status.resulted for status in engine.statistics().sources
        ):
            time.sleep(0.05)
        time.sleep(STAY_SECONDS)
        for name in names:
            engine.remove_source(name)


def measure(*, rest: int, count: int, seconds: float) -> tuple[list[float], list[float], dict[str, int]]:
    """Gaps before and while `count` sources come and go, and frames dropped meanwhile, of `rest` that stay."""
    with tempfile.TemporaryDirectory() as directory:
        config = check(
            parse(
                {
                    "sources": [f"rest-{number}={CAMERA}" for number in range(rest)],
                    "detector": "model?delay_ms=2",
                    "publish": {"bind": None},
                    "supervisor": {"state_directory": directory},
                }
            )
        )
        with LocalEngine(config, deliver=True, builder=BUILDER) as engine:
            engine.start()
            gaps = Gaps(engine)
            while engine.statistics().resulted < rest * 10:
                time.sleep(0.05)
            time.sleep(WARM_UP_SECONDS)
            gaps.take()
            time.sleep(seconds)
            before = gaps.take()
            churn(engine, count)
            during = gaps.take()
            return before, during, _dropped(engine)


def _dropped(engine: LocalEngine) -> dict[str, int]:
    dropped: dict[str, int] = {}
    for status in engine.statistics().sources:
        for reason, frames in status.dropped.items() if status.source_id.startswith("rest") else ():
            dropped[reason] = dropped.get(reason, 0) + frames
    return dropped


def run(*, rest: int = 4, count: int = 20, seconds: float = 20.0) -> list[dict[str, Any]]:
    """The row; `theirs` is before, so that a ratio of 1 is no effect at all."""
    before, during, dropped = measure(rest=rest, count=count, seconds=seconds)
    rows = []
    for name, share, target in (("p50", 0.5, None), ("p99", 0.99, 1 / MOST_RATIO)):
        ours, theirs = percentile(during, share), percentile(before, share)
        rows.append(
            {
                "name": f"{name} gap of {rest} cameras while {count} others come and go, against before",
                "ours": ours,
                "theirs": theirs,
                "ratio": theirs / ours if ours else None,
                "unit": "ms",
                "target": target,
            }
        )
    rows.append({"name": "frames of those that stay dropped", "ours": float(sum(dropped.values())), "unit": "frames"})
    return rows


if __name__ == "__main__":
    from tests.benchmarks.table import show

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rest", type=int, default=4)
    parser.add_argument("--churn", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    show("Sources that come and go", run(rest=given.rest, count=given.churn, seconds=given.seconds))
