"""What the soak concludes: a leak is found under noise and restarts, and what passes is not one."""

from __future__ import annotations

import random
from pathlib import Path

import cv2

from tests.soak.faults import FAULTS, schedule
from tests.soak.judge import DESCRIPTORS, MEMORY_MB, check_growth, check_latency, whole
from tests.soak.plot import Panel, draw
from tests.soak.watch import Minute, Sample

HOUR = 3600


def samples(*, mb_an_hour: float, descriptors_an_hour: float = 0.0) -> list[Sample]:
    """An hour of one every ten seconds, noisy, with a worker away now and then, and a warm-up that grows."""
    chance = random.Random(0)
    found = []
    for second in range(0, HOUR, 10):
        workers = 5 if chance.random() < 0.05 else 6
        warm = 40 * min(1.0, second / 200)
        memory = 200 + warm + mb_an_hour * second / HOUR + chance.gauss(0, 8) - 30 * (6 - workers)
        descriptors = round(150 + descriptors_an_hour * second / HOUR) - 20 * (6 - workers)
        found.append(Sample(float(second), memory, descriptors, workers))
    return found


def passed(taken: list[Sample]) -> dict[str, bool]:
    return {check.name: check.passed for check in check_growth(whole(taken, 6), run_seconds=HOUR)}


def test_noise_and_restarts_are_no_leak() -> None:
    assert passed(samples(mb_an_hour=0)) == {"memory": True, "descriptors": True}


def test_a_leak_is_found() -> None:
    assert passed(samples(mb_an_hour=2 * MEMORY_MB)) == {"memory": False, "descriptors": True}
    leaking = samples(mb_an_hour=0, descriptors_an_hour=3 * DESCRIPTORS)
    assert passed(leaking) == {"memory": True, "descriptors": False}


def test_the_worst_minute_decides_about_latency() -> None:
    minutes = [Minute(60.0, 900, 40.0), Minute(120.0, 900, 700.0)]
    assert check_latency(minutes, most_ms=1000).passed
    assert not check_latency(minutes, most_ms=500).passed


def test_every_fault_comes_once_before_any_comes_again() -> None:
    events = schedule(seconds=26 * 60, every_seconds=60, cameras=3, seed=7)
    assert [event.name for event in events] != [
        event.name for event in schedule(seconds=1560, every_seconds=60, cameras=3, seed=8)
    ]
    assert {event.name for event in events[: len(FAULTS)]} == set(FAULTS)
    assert {event.camera for event in events} == {0, 1, 2}
    ends = [event.at_seconds + event.lasts_seconds for event in events]
    assert all(end < later.at_seconds for end, later in zip(ends, events[1:], strict=False))
    assert ends[-1] < 25 * 60


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    panels = [Panel("memory", [(0.0, 100.0), (60.0, 120.0)]), Panel("nothing yet", [])]
    draw(tmp_path / "soak.png", panels, seconds=60, faults=[(20.0, "camera reboots")])
    picture = cv2.imread(str(tmp_path / "soak.png"))
    assert picture is not None
    assert (picture < 250).any()
