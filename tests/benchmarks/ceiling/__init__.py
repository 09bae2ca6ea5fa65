"""The runtime's own ceiling: what everything around the networks costs, on one core.

``python -m tests.benchmarks ceiling`` runs the real vision worker and the real publisher with a network that costs
nothing (see `chain`) and replays outputs recorded from real clips (see `scenes`): 64 sources, 300 candidates and 20
final boxes a frame, a map of 480x270 with 32 segments and more, one subscriber of `all`. Vision worker, publisher and
subscriber share one core; "a second on one core" is frames by the processor time of all three. The cameras' process is
not counted.
"""

from __future__ import annotations

import os
from typing import Any

from tests.benchmarks.ceiling import parts, rig, scenes
from tests.benchmarks.table import Row

SOURCES, MAX_BATCH = 64, 32
EVERYTHING, BOXES = 1_500.0, 5_000.0  # frames a second
NUMBERS = (1, 8, 64, 200)  # of sources
MOST_RATIO = 1.3
BUILDER = "tests.benchmarks.ceiling.chain"
ROUNDS = 3
TURNS = 5  # of the numbers of sources


def measured(*, sources: int, masks: bool, frames: int, rounds: int = ROUNDS) -> list[rig.Used]:
    """What frames take in several rounds, the least first: others use this machine too."""
    config = rig.settings(sources=sources, masks=masks, max_batch=MAX_BATCH)
    core = max(os.sched_getaffinity(0))
    with rig.running(config, builder=BUILDER, core=core) as running:
        used = [running.measure(warm_frames=2_000, frames=frames) for _ in range(rounds)]
    return sorted(used, key=lambda one: one.total / one.frames)


def ceiling(name: str, used: rig.Used, wanted: float) -> Row:
    """Frames a second on one core, against what is wanted."""
    a_second = used.frames / used.total
    return {
        "name": f"{name}: frames a second on one core",
        "ours": a_second,
        "theirs": wanted,
        "ratio": a_second / wanted,
        "unit": "1/s",
        "target": 1.0,
    }


def where(name: str, used: rig.Used, steps: dict[str, float]) -> list[Row]:
    """Microseconds a frame of every step and process; `theirs` is the whole."""
    whole = used.total / used.frames * 1e6
    vision = used.vision / used.frames * 1e6
    spent: dict[str, float] = {f"vision worker, {step}": each for step, each in steps.items()}
    spent["vision worker, receipt, accounts, hand-over (the rest of it)"] = vision - sum(steps.values())
    spent["publisher"] = used.publisher / used.frames * 1e6
    spent["subscriber"] = used.subscriber / used.frames * 1e6
    return [_share(f"{name}: {step}", each, whole) for step, each in spent.items()]


def _share(name: str, ours: float, whole: float) -> dict[str, Any]:
    return {"name": name, "ours": ours, "theirs": whole, "ratio": None, "unit": "µs/frame", "target": None}


def replayed() -> list[Row]:
    """What a replayed frame has, against what is asked for."""
    wanted = {"candidates": scenes.CANDIDATES, "boxes": 20, "segments": 32}
    counted = parts.counts(rig.settings(sources=SOURCES, masks=True, max_batch=MAX_BATCH))
    return [
        {
            "name": f"replayed: {name} a frame",
            "ours": count,
            "theirs": asked,
            "ratio": None if asked is None else count / asked,
            "unit": "",
            "target": None if asked is None else 1.0,
        }
        for name, count in counted.items()
        for asked in [wanted.get(name)]
    ]


def flatness(frames: int) -> list[Row]:
    """Cost a frame from 1 to 200 sources, boxes and tracks alone, where a source weighs most; against the least.

    All numbers in turn, several times, and the least of each: a machine that others use drifts by more than is asked.
    """
    seen: dict[int, list[float]] = {sources: [] for sources in NUMBERS}
    for _ in range(TURNS):
        for sources, costs_seen in seen.items():
            used = measured(sources=sources, masks=False, frames=frames, rounds=1)[0]
            costs_seen.append(used.total / used.frames * 1e6)
    costs = {sources: min(costs_seen) for sources, costs_seen in seen.items()}
    least = min(costs.values())
    rows: list[Row] = [
        _share(f"boxes and tracks, {sources} sources", cost, least) | {"ratio": least / cost}
        for sources, cost in costs.items()
    ]
    worst = max(costs.values())
    last = _share(f"dearest over cheapest (at most {MOST_RATIO} wanted)", worst, least)
    return [*rows, last | {"ratio": MOST_RATIO / (worst / least), "target": 1.0}]


def run(*, frames: int = 4_000) -> list[Row]:
    """All rows."""
    scenes.load()
    rows = replayed()
    for name, masks, wanted in (("everything", True, EVERYTHING), ("boxes and tracks", False, BOXES)):
        config = rig.settings(sources=SOURCES, masks=masks, max_batch=MAX_BATCH)
        rounds = measured(sources=SOURCES, masks=masks, frames=frames if masks else 3 * frames)
        steps = min((parts.microseconds(config) for _ in range(ROUNDS)), key=lambda one: sum(one.values()))
        rows += [
            ceiling(f"{name}, the best of {ROUNDS} rounds", rounds[0], wanted),
            ceiling(f"{name}, the median", rounds[ROUNDS // 2], wanted),
            ceiling(f"{name}, the worst", rounds[-1], wanted),
            *where(f"{name}, the best", rounds[0], steps),
        ]
    return rows + flatness(2 * frames)
