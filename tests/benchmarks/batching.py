"""Deadline batching on a virtual clock: 200 sources of mixed rates, some in bursts, some that stall.

``python -m tests.benchmarks.batching [--seconds 60] [--plot batching.png]`` prints how long frames wait, how full
batches are beside what the load allows, and how fairly sources are served, for loads from a twentieth of what the
network can do to twice as much. The network takes a fixed time a batch and some more a frame, one batch at a time.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.batching import Batcher, Waiting
from tests.benchmarks.table import Row, show

SOURCES = 200
RATES = (5, 10, 15, 25, 30)  # frames a second of the sources in turn, at a load of 0.85; in proportion at others
JITTER_SECONDS = 0.008
BURSTY = 0.2  # of the sources: now and then their link holds frames back and lets them go together
BURST_SECONDS = (0.1, 0.4)
BURST_EVERY_SECONDS = 3.0
STALLING = 5  # sources that fall silent in the middle third
MAX_BATCH, MAX_WAIT_MS, QUEUE_FRAMES = 32, 20.0, 2
STALE_MS = 100.0
CAPACITY = 4_000.0  # frames a second of the network, in full batches
BATCH_SECONDS = 0.002  # of the network, whatever is in the batch
FRAME_SECONDS = 1 / CAPACITY - BATCH_SECONDS / MAX_BATCH  # and for each frame
LOADS = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.5, 2.0)  # of the capacity

NS = 1e9


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame that is nothing but itself."""

    epoch: int
    seq: int
    capture_time_ns: int


@dataclass(slots=True)
class Outcome:
    """What a simulation gave."""

    load: float
    offered: Counter[str] = field(default_factory=Counter)  # frames by source
    served: Counter[str] = field(default_factory=Counter)
    burst: frozenset[str] = frozenset()
    waits_ms: list[float] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    late: int = 0  # frames given up because they waited too long
    seconds: float = 0.0

    @property
    def p99_ms(self) -> float:
        """What 99 of 100 frames did not wait longer than."""
        return sorted(self.waits_ms)[int(0.99 * len(self.waits_ms))]

    @property
    def occupancy(self) -> float:
        """Frames a batch."""
        return sum(self.batches) / len(self.batches)

    @property
    def allowed_occupancy(self) -> float:
        """Frames that come while the first of a batch waits as long as it may, another batch being in the network."""
        a_second = sum(self.offered.values()) / self.seconds
        # A batch of b frames has the network for BATCH_SECONDS + b * FRAME_SECONDS; by that, frames are let go earlier.
        collected = 1 + a_second * (MAX_WAIT_MS / 1e3 - BATCH_SECONDS)
        return min(MAX_BATCH, collected / (1 + a_second * FRAME_SECONDS))

    @property
    def jain(self) -> float:
        """Jain's index (1984) of what each source was served of its max-min fair share."""
        entitled = fair_shares(self.offered, min(sum(self.served.values()), sum(self.offered.values())))
        shares = [self.served[source] / entitled[source] for source in self.offered]
        return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


def fair_shares(offered: Counter[str], total: float) -> dict[str, float]:
    """Max-min fair: who wants less than an equal share gets what it wants, the rest is shared equally by the others."""
    shares: dict[str, float] = {}
    left, waiting = total, sorted(offered, key=lambda source: offered[source])
    for i, source in enumerate(waiting):
        shares[source] = min(float(offered[source]), left / (len(waiting) - i))
        left -= shares[source]
    return shares


def arrivals(
    chance: random.Random, *, load: float, sources: int, seconds: float, outcome: Outcome
) -> list[tuple[int, str, int]]:
    """When each frame of each source arrives, in order: nanoseconds, source, capture time."""
    frames: list[tuple[int, str, int]] = []
    bursty = set()
    for number in range(sources):
        mean = sum(RATES) / len(RATES)
        source, rate = f"source-{number}", RATES[number % len(RATES)] / mean * load * CAPACITY / sources
        phase = chance.random() / rate
        held_until, next_burst = 0.0, chance.expovariate(1 / BURST_EVERY_SECONDS)
        bursts = number % round(1 / BURSTY) == number // round(1 / BURSTY) % round(1 / BURSTY)
        bursty.update([source] if bursts else [])
        last = 0.0
        for n in range(int(seconds * rate)):
            captured = phase + n / rate
            if number < STALLING and seconds / 3 <= captured < 2 * seconds / 3:
                continue
            if bursts and captured > next_burst:
                held_until = captured + chance.uniform(*BURST_SECONDS)
                next_burst = held_until + chance.expovariate(1 / BURST_EVERY_SECONDS)
            last = max(last, held_until, captured + chance.uniform(0, JITTER_SECONDS))
            frames.append((int(last * NS), source, int(captured * NS)))
    outcome.burst = frozenset(bursty)
    return sorted(frames)


def simulate(*, load: float, seconds: float, sources: int = SOURCES, seed: int = 1) -> Outcome:
    """A run at a load."""
    outcome = Outcome(load, seconds=seconds)
    frames = arrivals(random.Random(seed), load=load, sources=sources, seconds=seconds, outcome=outcome)
    batcher: Batcher[Picture] = Batcher(
        max_batch=MAX_BATCH,
        max_wait_ns=round(MAX_WAIT_MS * 1e6),
        queue_frames=QUEUE_FRAMES,
        stale_ns=round(STALE_MS * 1e6),
    )
    for number in range(sources):
        batcher.add_source(f"source-{number}", lossless=False)
    free_ns, at, now_ns = 0, 0, 0
    while at < len(frames) or batcher.waiting:
        due_ns = batcher.due_ns()
        ready_ns = None if due_ns is None else max(due_ns, free_ns)
        if batcher.waiting >= MAX_BATCH:
            ready_ns = max(now_ns, free_ns)
        if at < len(frames) and (ready_ns is None or frames[at][0] <= ready_ns):
            now_ns, source, captured = frames[at]
            batcher.push(source, Picture(1, outcome.offered[source], captured), now_ns=now_ns)
            outcome.offered[source] += 1
            at += 1
            continue
        assert ready_ns is not None
        now_ns = max(now_ns, ready_ns)
        outcome.late += len(batcher.expire(now_ns=now_ns))
        taken = [entry for entry in batcher.take(now_ns=now_ns) if isinstance(entry, Waiting)]
        outcome.waits_ms += [(now_ns - entry.since_ns) / 1e6 for entry in taken]
        outcome.served.update(entry.source_id for entry in taken)
        if not taken:
            continue
        outcome.batches.append(len(taken))
        took = BATCH_SECONDS + FRAME_SECONDS * len(taken)
        free_ns = now_ns + round(took * NS)
        batcher.took(took)
    return outcome


def run(*, seconds: float = 60.0) -> list[Row]:
    """Rows of all loads; `ours` is what was seen, `theirs` what is allowed."""
    return [row for load in LOADS for row in rows_of(simulate(load=load, seconds=seconds))]


def rows_of(outcome: Outcome) -> list[Row]:
    """Wait, occupancy and fairness."""
    name = f"load {outcome.load:g}"
    p99, occupancy, jain = outcome.p99_ms, outcome.occupancy, outcome.jain
    setting, most_ms = ("max_wait_ms", MAX_WAIT_MS) if outcome.load < 1 else ("stale_ms", STALE_MS)
    return [
        {
            "name": f"{name}: 99th percentile of the wait, against {setting}",
            "ours": p99,
            "theirs": most_ms,
            "ratio": most_ms / p99,
            "unit": "ms",
            "target": 1.0,
        },
        {
            "name": f"{name}: frames a batch, against what the load allows",
            "ours": occupancy,
            "theirs": outcome.allowed_occupancy,
            "ratio": occupancy / outcome.allowed_occupancy,
            "unit": "frames",
            "target": 0.9,
        },
        {
            "name": f"{name}: Jain's index of fairness",
            "ours": jain,
            "theirs": 1.0,
            "ratio": jain,
            "unit": "",
            "target": 0.98,
        },
    ]


def plot(outcomes: Sequence[Outcome], path: Path) -> None:
    """Three pictures: waits, occupancy and shares."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (waits, occupancy, shares) = pyplot.subplots(1, 3, figsize=(15, 4.5))
    for outcome in outcomes:
        ranked = sorted(outcome.waits_ms)
        share = [i / len(ranked) for i in range(len(ranked))]
        waits.step(ranked, share, where="post", label=f"load {outcome.load:g}")
    waits.axvline(MAX_WAIT_MS, color="black", linestyle="--", linewidth=1)
    waits.set(xlabel="wait, ms", ylabel="share of frames", title="How long frames wait (dashed: max_wait_ms)")
    waits.set_xlim(0, 1.2 * STALE_MS)
    waits.legend(loc="lower right")
    loads = [outcome.load for outcome in outcomes]
    occupancy.plot(loads, [outcome.occupancy for outcome in outcomes], "o-", label="seen")
    occupancy.plot(loads, [outcome.allowed_occupancy for outcome in outcomes], "k--", label="what the load allows")
    occupancy.set(xlabel="load, of the network's capacity", ylabel="frames a batch", title="How full batches are")
    occupancy.set_ylim(0, MAX_BATCH * 1.1)
    occupancy.legend()
    busiest = outcomes[-1]
    for rate in RATES:
        of_rate = [s for s in busiest.offered if RATES[int(s.rpartition("-")[2]) % len(RATES)] == rate]
        for bursty, marker in ((False, "."), (True, "x")):
            chosen = [s for s in of_rate if (s in busiest.burst) == bursty]
            at = [rate / 17 * busiest.load * CAPACITY / SOURCES + (0.6 if bursty else -0.6)] * len(chosen)
            shares.plot(at, [busiest.served[s] / busiest.seconds for s in chosen], marker, color=f"C{int(bursty)}")
    entitled = fair_shares(busiest.offered, sum(busiest.served.values()))
    shares.axhline(max(entitled.values()) / busiest.seconds, color="black", linestyle="--", linewidth=1)
    shares.set(
        xlabel="frames a second offered\n(x: in bursts; the low dots were silent for a third)",
        ylabel="frames a second analysed",
    )
    shares.set_title(f"Who is served at load {busiest.load:g} (dashed: a fair share)")
    shares.set_ylim(0, None)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Simulate, print, and draw where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of virtual time")
    parser.add_argument("--plot", type=Path, help="where to write the picture")
    arguments = parser.parse_args()
    outcomes = [simulate(load=load, seconds=arguments.seconds) for load in LOADS]
    show("Deadline batching", [row for outcome in outcomes for row in rows_of(outcome)])
    if arguments.plot is not None:
        plot(outcomes, arguments.plot)
        print(f"drawn to {arguments.plot}")


if __name__ == "__main__":
    main()
