"""1, 10 and 100 readers of `tracks`, ZeroMQ (ours) beside Redis Streams (theirs): results a second, p50 and p99.

The rate flat out is that of everything together: the publisher, redis-server and all readers share the machine's cores.
Both transports are measured in turn, `ROUNDS` times, and each figure is the median of its rounds: a shared machine
disturbs some of them.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tests import redis_server
from tests.benchmarks.delivery.delivered import A_SECOND, Delivered, delivered
from tests.benchmarks.delivery.readers import How
from tests.benchmarks.table import Row

READERS = (1, 10, 100)
ROUNDS, RESULTS, RESULTS_FLAT_OUT = 3, 300, 2_000
KEEPS_UP = 0.98  # of the rate, else a latency is one of a queue that grows


@dataclass(frozen=True, slots=True)
class Side:
    """One transport with so many readers, in all rounds."""

    flat_out: list[Delivered]
    paced: list[Delivered]

    def a_second(self) -> float:
        """Results a second to each reader, flat out."""
        return statistics.median(one.a_second for one in self.flat_out)

    def percentile_ms(self, percent: float) -> float:
        """From when a result was due to receipt, at the stated rate."""
        return statistics.median(one.percentile_ms(percent) for one in self.paced)

    def keeps_up(self) -> bool:
        """Whether what was received a second is what was published."""
        return statistics.median(one.a_second for one in self.paced) >= KEEPS_UP * A_SECOND


def transports() -> tuple[str, ...]:
    """Those that run here; says what is left out."""
    if redis_server.is_available():
        return ("zeromq", "redis")
    print("  no redis-server is installed: Redis Streams are left out", file=sys.stderr)
    return ("zeromq",)


def measured(chosen: Sequence[str], *, readers: int, how: How | None, quick: bool) -> dict[str, Side]:
    """All transports, by turns."""
    sides = {name: Side([], []) for name in chosen}
    for _ in range(1 if quick else ROUNDS):
        for name, side in sides.items():
            flat = RESULTS_FLAT_OUT // (10 if quick or readers == max(READERS) else 1)
            side.flat_out.append(delivered(name, "tracks", readers=readers, results=flat, how=how))
            paced = RESULTS // (10 if quick else 1)
            side.paced.append(delivered(name, "tracks", readers=readers, results=paced, a_second=A_SECOND, how=how))
    return sides


def rows_of(who: str, sides: dict[str, Side]) -> list[Row]:
    """Three rows."""
    behind = [name for name, side in sides.items() if not side.keeps_up()]
    at = f"tracks, {who}, {A_SECOND:.0f} results a second" + "".join(f" ({name} falls behind)" for name in behind)
    rates = [side.a_second() for side in sides.values()]
    rows = [_row(f"tracks, {who}, flat out: results a second to each, ZeroMQ beside Redis", "1/s", rates, more=True)]
    for percent in (50, 99):
        values = [side.percentile_ms(percent) for side in sides.values()]
        rows.append(_row(f"{at}: p{percent} to receipt, ZeroMQ beside Redis", "ms", values))
    return rows


def _row(name: str, unit: str, values: Sequence[float], *, more: bool = False) -> Row:
    ours, theirs = values[0], values[1] if len(values) > 1 else None
    ratio = None if theirs is None else ours / theirs if more else theirs / ours
    return {"name": name, "ours": ours, "theirs": theirs, "ratio": ratio, "unit": unit, "target": None}


def run(*, quick: bool = False) -> list[Row]:
    """Plain sockets, then one `Subscriber`, which decodes what it receives."""
    chosen = transports()
    rows = []
    for readers in READERS:
        sides = measured(chosen, readers=readers, how=None, quick=quick)
        rows += rows_of("1 reader" if readers == 1 else f"{readers} readers", sides)
    return rows + rows_of("1 Subscriber", measured(chosen, readers=1, how="subscriber", quick=quick))
