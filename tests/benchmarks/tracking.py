"""The tracker beside those of `trackers`: milliseconds a frame, and HOTA, MOTA, IDF1 on public detections.

``python -m tests.benchmarks.tracking`` prints the tables. The defaults of `TrackerConfig` were chosen on MOT17-02 and
MOT17-09; the other sequences report.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import TrackerConfig
from pipeline.messages import Detections, TrackState
from stages.track import Tracker
from tests.benchmarks.mot import FRAME_SECONDS, Follow, Seen, judge
from tests.benchmarks.table import Row, show

MOT = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "mot"
CHOSEN_ON = ("MOT17-02", "MOT17-09")
OBJECTS = (50, 200)
TARGET = 4.0


def crossing(objects: int, frames: int = 250) -> list[Detections]:
    """Objects that cross a 1080p picture at 25 frames a second, with noise, misses and doubtful scores."""
    rng = np.random.default_rng(0)
    at, speed = rng.uniform((0, 0), (1920, 1080), (objects, 2)), rng.normal(0, 60, (objects, 2))
    size = rng.uniform(40, 120, (objects, 1)) * (1, 2)
    out = []
    for _ in range(frames):
        at = at + speed / 25
        speed = np.where((at < 0) | (at > (1920, 1080)), -speed, speed)
        seen = rng.random(objects) > 0.07
        centre = at[seen] + rng.normal(0, 2, (seen.sum(), 2))
        half = size[seen] * rng.normal(1, 0.03, (seen.sum(), 2)) / 2
        boxes = np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)
        out.append(
            Detections.of(boxes, rng.uniform(0.3, 0.95, len(boxes)).astype(np.float32), np.zeros(len(boxes), np.int32))
        )
    return out


def ours_by(config: TrackerConfig) -> Follow:
    """Every frame through a fresh `Tracker`."""

    def follow(frames: list[Detections], frame_seconds: float) -> Seen:
        tracker, out = Tracker(config), []
        for number, detections in enumerate(frames):
            tracks = tracker.update(detections, number * frame_seconds)
            seen = tracks.states == TrackState.CONFIRMED
            out.append((tracks.ids[seen], tracks.boxes[seen]))
        return out

    return follow


ours = ours_by(TrackerConfig())
RECIPES = {
    "oc-sort": ours_by(TrackerConfig(recipe="oc-sort")),
    "wide_buffer 0.5": ours_by(TrackerConfig(wide_buffer=0.5)),
    "buffer 0.2, wide_buffer 0.4": ours_by(TrackerConfig(buffer=0.2, wide_buffer=0.4)),
}


def theirs(name: str) -> Follow:
    """Every frame through a fresh tracker of `trackers`, with its own defaults and the frame rate told."""

    def follow(frames: list[Detections], frame_seconds: float) -> Seen:
        import supervision
        import trackers

        tracker, out = getattr(trackers, name)(frame_rate=1 / frame_seconds), []
        for d in frames:
            given = supervision.Detections(xyxy=d.boxes, confidence=d.scores, class_id=d.labels)
            tracks = tracker.update(given)
            seen = tracks.tracker_id >= 0
            out.append((tracks.tracker_id[seen] + 1, tracks.xyxy[seen]))
        return out

    return follow


PEERS = {
    "SORT": theirs("SORTTracker"),
    "ByteTrack": theirs("ByteTrackTracker"),
    "OC-SORT": theirs("OCSORTTracker"),
}


def milliseconds(follow: Follow, frames: list[Detections], rounds: int) -> float:
    """A frame's time in the fastest of several runs."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        follow(frames, 1 / 25)
        times.append(time.perf_counter() - begin)
    return min(times) / len(frames) * 1e3


def speed() -> list[Row]:
    """A row for each peer and number of objects."""
    rows: list[Row] = []
    for objects in OBJECTS:
        frames = crossing(objects)
        mine = milliseconds(ours, frames, 5)
        for name, peer in PEERS.items():
            other = milliseconds(peer, frames, 2)
            rows.append(
                {
                    "name": f"tracker at {objects} objects, against {name} of trackers",
                    "ours": mine,
                    "theirs": other,
                    "ratio": other / mine,
                    "unit": "ms a frame",
                    "target": TARGET if name == "ByteTrack" else None,
                }
            )
    return rows


def quality() -> list[Row]:
    """A row for each sequence, score and peer; none where the sequences or `trackeval` are missing."""
    try:
        import trackeval  # noqa: F401
    except ImportError:
        return []
    rows: list[Row] = []
    hotas: dict[str, dict[str, float]] = {}
    for sequence in FRAME_SECONDS if MOT.is_dir() else ():
        found = judge(MOT, sequence, {"ours": ours, **PEERS, **RECIPES})
        role = "chosen on" if sequence in CHOSEN_ON else "reported"
        for name in PEERS:
            for score in ("hota", "mota", "idf1"):
                mine, other = getattr(found["ours"], score), getattr(found[name], score)
                rows.append(_row(f"{score.upper()} on {sequence} ({role}), against {name}", mine, other))
        for name in RECIPES:
            rows.append(
                _row(f"HOTA on {sequence} ({role}), {name} against default", found[name].hota, found["ours"].hota)
            )
        drawn = {name: one.hota for name, one in found.items() if name == "ours" or name in PEERS}
        rows[-1] |= {"group": f"{sequence}\n{role}", "bars": drawn}
        hotas[sequence] = drawn
    reported = {sequence: one for sequence, one in hotas.items() if sequence not in CHOSEN_ON}
    return rows + means_of(hotas, "all") + means_of(reported, "those reported")


def means_of(hotas: dict[str, dict[str, float]], which: str) -> list[Row]:
    """A row for each peer: HOTA by sequence and tracker as the mean of the sequences."""
    means = {name: sum(one[name] for one in hotas.values()) / len(hotas) for one in hotas.values() for name in one}
    rows = [_row(f"HOTA, mean of {which}, against {name}", means["ours"], means[name]) for name in PEERS if means]
    if rows:
        rows[-1] |= {"group": f"mean of\n{which}", "bars": means}
    return rows


def _row(name: str, mine: float, other: float) -> dict[str, Any]:
    return {"name": name, "ours": mine, "theirs": other, "ratio": mine / other, "unit": "%", "target": None}


def run() -> list[Row]:
    """All rows."""
    return speed() + quality()


if __name__ == "__main__":
    show("tracking", run())
