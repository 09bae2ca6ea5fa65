"""Schedules: what happens to a rig, and when, drawn by a seed; and whether every frame is accounted for after it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.delivery.rig import Rig, rigged

Action = Callable[[Rig, random.Random], None]


def _camera(rig: Rig, chance: random.Random) -> None:
    rig.strike(chance.choice(("kill", "suspend")), "camera", chance.choice(rig.source_ids))


def _vision(rig: Rig, chance: random.Random) -> None:
    rig.strike(chance.choice(("kill", "kill", "suspend")), "vision")


def _publisher(rig: Rig, chance: random.Random) -> None:
    rig.strike(chance.choice(("kill", "kill", "suspend")), "publisher")


ACTIONS: dict[str, Action] = {
    "a camera worker": _camera,
    "the vision worker": _vision,
    "the publisher": _publisher,
    "everything": lambda rig, chance: rig.kill_everything(),
    "a consumer": lambda rig, chance: rig.kill_consumer(),
    "lost replies": lambda rig, chance: rig.swallow_replies(chance.uniform(0.1, 1.0)),
    "a cut line": lambda rig, chance: rig.cut(),
    "Redis restarts": lambda rig, chance: rig.restart_redis(chance.uniform(0.0, 1.0)),
    "Redis out of memory": lambda rig, chance: rig.fill_redis(chance.uniform(0.1, 1.0)),
    "a slow reader": lambda rig, chance: rig.slow_down(chance.uniform(0.1, 1.0)),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Schedules that were played on one rig, one after another."""

    seeds: tuple[int, ...]
    actions: tuple[str, ...] = ()
    acknowledged: int = 0  # frames
    applied: int = 0  # by the consumers of the group
    declared: int = 0
    repeated: int = 0  # deliveries to the group that it had applied before
    missed: int = 0  # messages, by the slow ZeroMQ reader, which says so
    violations: tuple[str, ...] = ()


def play(
    folder: Path,
    seeds: Sequence[int],
    *,
    actions: int = 4,
    sources: int = 2,
    rate: int = 50,
    entries: int = 0,
    pause_seconds: float = 0.5,
) -> Outcome:
    """Play schedules, each of so many actions, the last for as long as there are less entries; then look at all.

    Up to `pause_seconds` pass between two actions.
    """
    done: list[str] = []
    with rigged(folder, sources=sources, rate=rate) as rig:
        for seed in seeds:
            chance = random.Random(seed)
            for _ in range(actions):
                done.append(act(rig, chance, pause_seconds))
        while rig.entries() < entries:
            done.append(act(rig, chance, pause_seconds))
        rig.finish()
        return judged(rig, tuple(seeds), tuple(done))


def act(rig: Rig, chance: random.Random, pause_seconds: float) -> str:
    """Do something, and let some time pass; what was done."""
    name = chance.choice(list(ACTIONS))
    ACTIONS[name](rig, chance)
    time.sleep(chance.uniform(0.0, pause_seconds))
    return name


def judged(rig: Rig, seeds: tuple[int, ...], actions: tuple[str, ...]) -> Outcome:
    """Look for every frame: in Redis, in what the group applied, and in what came over ZeroMQ."""
    settled = rig.settled()
    stored, applied = rig.stored(), rig.applied()
    verdicts = [history.verdict(settled.get(name, {})) for name, history in stored.items()]
    of_group = [history.verdict(settled.get(name, {})) for name, history in applied.items()]
    violations = [text for verdict in (*verdicts, *of_group) for text in verdict.violations]
    for name, history in rig.slow_reader.histories.items():
        violations += history.violations
        if history.repeated:
            violations.append(f"{name}: {history.repeated} messages came twice over ZeroMQ")
    for name, ledger in rig.ledgers.items():
        if ledger["captured"] != ledger["resulted"] + ledger["dropped"] or ledger["violations"]:
            violations.append(f"{name}: the ledger does not balance: {ledger}")
    if [v.applied for v in verdicts] != [v.applied for v in of_group]:
        violations.append(f"stored {[v.applied for v in verdicts]}, applied {[v.applied for v in of_group]}")
    return Outcome(
        seeds=seeds,
        actions=actions,
        acknowledged=sum(verdict.acknowledged for verdict in verdicts),
        applied=sum(verdict.applied for verdict in of_group),
        declared=sum(verdict.declared for verdict in of_group),
        repeated=sum(verdict.repeated for verdict in of_group),
        missed=rig.slow_reader.missed,
        violations=tuple(dict.fromkeys(violations)),
    )
