"""Suppression of 16 × 300 boxes: compiled loops against numpy.

``python -m tests.benchmarks.softnms`` prints the table.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, get_args

import numpy as np

from stages.suppress import Method, suppress
from stages.suppress.reference import suppress_slowly

FRAMES, BOXES = 16, 300
TARGETS = {"soft-gaussian": 20.0}

Boxes = tuple[np.ndarray, np.ndarray, np.ndarray]
OPTIONS: dict[str, Any] = {
    "sigma": 0.5,
    "iou_threshold": 0.5,
    "score_threshold": 0.0,  # every box is picked: the most work there can be
    "max_detections": BOXES,
}


def scene(rng: np.random.Generator) -> Boxes:
    """Boxes of one class in 30 clumps, as a dense head gives them on a crowd."""
    clump = rng.integers(0, 30, BOXES)
    centres = rng.uniform(0, 1000, (30, 2))[clump] + rng.normal(0, 10, (BOXES, 2))
    sizes = rng.uniform(30, 150, (30, 2))[clump] * rng.uniform(0.8, 1.2, (BOXES, 2))
    boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1).astype(np.float32)
    return boxes, rng.uniform(0.05, 1, BOXES).astype(np.float32), np.zeros(BOXES, np.int32)


def fastest_ms(work: Callable[[], Any], rounds: int) -> float:
    """The fastest of several runs: the one least disturbed by what else the machine does."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times) * 1e3


def row(method: Method, scenes: list[Boxes]) -> dict[str, Any]:
    """Both sides on the same boxes. Raises `ValueError` where they differ by more than 1e-6."""
    for one in scenes:
        rows, left = suppress(*one, method=method, **OPTIONS)
        slow_rows, slow_left = suppress_slowly(*one, method=method, **OPTIONS)
        if rows.tolist() != slow_rows.tolist() or np.abs(left - slow_left).max() > 1e-6:
            raise ValueError(f"{method}: the compiled loop does not equal the reference")
    ours = fastest_ms(lambda: [suppress(*one, method=method, **OPTIONS) for one in scenes], 30)
    theirs = fastest_ms(lambda: [suppress_slowly(*one, method=method, **OPTIONS) for one in scenes], 3)
    return {
        "name": f"{method} NMS, {FRAMES} × {BOXES} boxes, against numpy",
        "ours": ours,
        "theirs": theirs,
        "ratio": theirs / ours,
        "unit": "ms",
        "target": TARGETS.get(method),
    }


def run() -> list[dict[str, Any]]:
    """A row a method."""
    rng = np.random.default_rng(0)
    scenes = [scene(rng) for _ in range(FRAMES)]
    return [row(method, scenes) for method in get_args(Method)]


if __name__ == "__main__":
    for each in run():
        figures = f"{each['ours']:8.2f} {each['theirs']:8.2f} {each['unit']} {each['ratio']:7.1f}x"
        print(f"{each['name']:<52} {figures}", f"(target {each['target']:.0f}x)" if each["target"] else "")
