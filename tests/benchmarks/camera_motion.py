"""Tracking under a camera that pans, drives or shakes: with its motion told to the tracker, and without.

``python -m tests.benchmarks.camera_motion`` prints the table. Lively synthetic streets that nothing was chosen on, at
12.5 and at 5 frames a second; what is found is the truth with a detector's faults (`tests.stages.finder`).
"""

from __future__ import annotations

import time
from fractions import Fraction
from typing import Final

import numpy as np

from pipeline.config import TrackerConfig
from pipeline.messages import Batch, Frame, Surface, TrackState
from stages.models.evaluation.track_quality import Followed, TrackQuality
from stages.models.labelled.taxonomy import world_taxonomy
from stages.models.labelled.world import sample_of
from stages.models.world import THINGS, World
from stages.models.world.traffic import Crowd
from stages.track import Track
from tests.benchmarks.table import Row, show
from tests.stages.finder import Finder

FIRST_SEED, WORLDS, SECONDS = 4_000_000, 4, 8
RATES = (12.5, 5.0)
CROWD = Crowd(vehicles=8, cyclists=4, walkers=20, standers=4)
SMALLEST_VISIBILITY = 0.25
CLASSES = world_taxonomy().classes
WAYS: Final = {
    ("bytetrack", True): TrackerConfig(camera_motion="sparse-flow"),
    ("bytetrack", False): TrackerConfig(),
    ("oc-sort", True): TrackerConfig(recipe="oc-sort", camera_motion="sparse-flow"),
    ("oc-sort", False): TrackerConfig(recipe="oc-sort"),
}


class Tally:
    """What came of one way to follow."""

    def __init__(self, config: TrackerConfig) -> None:
        self.config, self.quality = config, TrackQuality(THINGS)
        self.seconds: list[float] = []  # a frame each


def follow(world: int, rate: float, tallies: list[Tally]) -> None:
    """One street by every way."""
    stages = [Track(tally.config) for tally in tallies]
    finder = Finder(CLASSES, seed=world)
    street = World(world, split="unseen", width=640, height=360, fps=rate, moving_camera=True, crowd=CROWD)
    for number, shown in enumerate(street.frames(round(SECONDS * rate))):
        found, _ = finder(sample_of(shown), shown.track_ids)
        at = round(number / rate * 1e9)
        frame = Frame("street", 1, number, number, Fraction(1), at, "pts", 0, Surface("rgb24", (shown.image,)))
        truth = Followed(shown.boxes, shown.labels, shown.track_ids)
        for tally, stage in zip(tallies, stages, strict=True):
            begin = time.perf_counter()
            tracks = stage(Batch(frames=(frame,), detections=(found,))).tracks
            tally.seconds.append(time.perf_counter() - begin)
            assert tracks is not None
            seen = tracks[0][tracks[0].states == TrackState.CONFIRMED]
            followed = Followed(seen.boxes, seen.labels.astype(np.int64), seen.ids)
            tally.quality.add(str(world), followed, truth, ignored=shown.visibility < SMALLEST_VISIBILITY)


def run(*, worlds: int = WORLDS) -> list[Row]:
    """A row for each rate, recipe and score."""
    rows: list[Row] = []
    for rate in RATES:
        tallies = {way: Tally(config) for way, config in WAYS.items()}
        for number in range(worlds):
            follow(FIRST_SEED + number, rate, list(tallies.values()))
        for recipe in dict.fromkeys(recipe for recipe, _ in WAYS):
            told, untold = tallies[recipe, True], tallies[recipe, False]
            name = f"moving cameras, {rate:g} frames a second, {recipe}, camera_motion against none"
            figures = [tally.quality.together(THINGS) for tally in (told, untold)]
            for score in ("hota", "mota", "idf1"):
                mine, other = (100 * float(one[score] or 0) for one in figures)
                rows.append(_row(f"{score.upper()}, {name}", mine, other, mine / other, "%"))
                if score == "hota":
                    bars = {"camera's motion told": mine, "not told": other}
                    rows[-1] |= {"group": f"{rate:g} frames a second\n{recipe}", "bars": bars}
            times = (1e3 * float(np.median(tally.seconds)) for tally in (told, untold))
            rows.append(_row(f"time, {name}", *times, None, "ms a frame"))
    return rows


def _row(name: str, ours: float, theirs: float, ratio: float | None, unit: str) -> Row:
    return {"name": name, "ours": ours, "theirs": theirs, "ratio": ratio, "unit": unit, "target": None}


if __name__ == "__main__":
    show("camera motion", run())
