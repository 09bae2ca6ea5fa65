"""Tracking under a camera that pans, drives or shakes: with its motion told to the tracker, and without.

``python -m tests.benchmarks.camera_motion`` prints the table. Synthetic streets that nothing was chosen on, at 12.5 and
at 5 frames a second; boxes are the truth's, spoilt as a detector spoils them: some are missed, the rest tremble.
"""

from __future__ import annotations

import time
from fractions import Fraction
from functools import partial

import numpy as np

from pipeline.config import TrackerConfig
from pipeline.messages import Batch, Detections, Frame, Surface, TrackState
from stages.models.evaluation.track_quality import Followed, TrackQuality
from stages.models.world import THINGS, World, WorldFrame
from stages.models.world.traffic import Crowd
from stages.track import Track
from tests.benchmarks.table import Row, show

FIRST_SEED, WORLDS, SECONDS = 4_000_000, 8, 8
RATES = (12.5, 5.0)
CROWD = Crowd(vehicles=8, cyclists=4, walkers=20, standers=4)
SMALLEST_VISIBILITY = 0.25
CONFIGS = {
    "bytetrack": (TrackerConfig(camera_motion="sparse-flow"), TrackerConfig()),
    "oc-sort": (TrackerConfig(recipe="oc-sort", camera_motion="sparse-flow"), TrackerConfig(recipe="oc-sort")),
}


def spoilt(frame: WorldFrame, rng: np.random.Generator) -> Detections:
    """What a detector might make of it: one in eight missed, edges off by a thirtieth of the box."""
    seen = (frame.visibility >= SMALLEST_VISIBILITY) & (rng.random(len(frame.labels)) > 1 / 8)
    boxes = frame.boxes[seen]
    sizes = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    boxes = boxes + rng.normal(0, 1 / 30, boxes.shape) * sizes
    scores = rng.uniform(0.3, 0.95, len(boxes))
    return Detections.of(boxes.astype(np.float32), scores.astype(np.float32), frame.labels[seen].astype(np.int32))


def followed(world: int, rate: float, configs: dict[str, TrackerConfig], qualities: dict[str, TrackQuality]) -> float:
    """Every tracker over one street; milliseconds a frame that the motion took."""
    stages = {name: Track(config) for name, config in configs.items()}
    rng = np.random.default_rng(world)
    street = World(world, split="unseen", width=640, height=360, fps=rate, moving_camera=True, crowd=CROWD)
    spent = dict.fromkeys(stages, 0.0)
    frames = round(SECONDS * rate)
    for number, shown in enumerate(street.frames(frames)):
        found = spoilt(shown, rng)
        frame = Frame(
            "street",
            1,
            number,
            number,
            Fraction(1),
            round(number / rate * 1e9),
            "pts",
            0,
            Surface("rgb24", (shown.image,)),
        )
        truth = Followed(shown.boxes, shown.labels.astype(np.int64), shown.track_ids.astype(np.int64))
        for name, stage in stages.items():
            begin = time.perf_counter()
            tracks = stage(Batch(frames=(frame,), detections=(found,))).tracks
            spent[name] += time.perf_counter() - begin
            assert tracks is not None
            seen = tracks[0][tracks[0].states == TrackState.CONFIRMED]
            qualities[name].add(
                str(world),
                Followed(seen.boxes, seen.labels.astype(np.int64), seen.ids),
                truth,
                ignored=shown.visibility < SMALLEST_VISIBILITY,
            )
    told, untold = spent.values()
    return (told - untold) / frames * 1e3


def run(*, worlds: int = WORLDS) -> list[Row]:
    """A row for each recipe, rate and score."""
    rows: list[Row] = []
    for recipe, (told, untold) in CONFIGS.items():
        for rate in RATES:
            qualities = {name: TrackQuality(THINGS) for name in ("told", "untold")}
            configs = {"told": told, "untold": untold}
            one = partial(followed, rate=rate, configs=configs, qualities=qualities)
            cost = [one(FIRST_SEED + number) for number in range(worlds)]
            figures = {name: quality.together(THINGS) for name, quality in qualities.items()}
            name = f"moving cameras, {rate:g} frames a second, {recipe}, camera_motion against none"
            for score in ("hota", "mota", "idf1"):
                mine, other = (100 * float(figures[key][score] or 0) for key in ("told", "untold"))
                rows.append({"name": f"{score.upper()}, {name}", "ours": mine, "theirs": other, "ratio": mine / other,
                             "unit": "%", "target": None})  # fmt: skip
            rows.append({"name": f"cost, {name}", "ours": float(np.median(cost)), "theirs": 0.0, "ratio": None,
                         "unit": "ms a frame", "target": None})  # fmt: skip
    return rows


if __name__ == "__main__":
    show("camera motion", run())
