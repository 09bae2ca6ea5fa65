"""Video panoptic quality on synthetic streets, whose truth is exact: STQ, AQ and VPQ of ways to follow what is found.

``python -m tests.benchmarks.video_panoptic [--quick]`` prints the table, in percent. Crowded streets and cameras that
move, of the split that nothing is trained on. What is found is the truth with a detector's faults
(`tests.stages.finder`), and what everyframe-nano finds; all ways are given the same findings.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.config import TrackerConfig
from pipeline.messages import Batch, Classes
from pipeline.stage import Stage
from stages.models.evaluation.clips import ClipFrame
from stages.models.evaluation.measure_clips import with_identities, with_tracks
from stages.models.evaluation.step_quality import StepQuality
from stages.models.evaluation.subject import Subject, frame_of, pixels_of, relabelling, run_stages
from stages.models.evaluation.truth import truth_of
from stages.models.evaluation.video_quality import VideoQuality
from stages.models.evaluation.worlds import UNSEEN_SEED
from stages.models.labelled.taxonomy import world_taxonomy
from stages.models.labelled.world import sample_of
from stages.models.world import World
from stages.models.world.traffic import Crowd
from stages.track import Track
from tests.benchmarks.table import Row, show
from tests.stages.finder import Finder

FIRST_SEED: Final = UNSEEN_SEED + 500_000  # far from those of `everyframe evaluate`
CROWDED: Final = Crowd(vehicles=14, cyclists=10, walkers=36, standers=8)
TAXONOMY: Final = world_taxonomy()
FPS: Final = 12.5
Way = Callable[[], Stage]  # a tracker for one clip
WAYS: Final[dict[str, Way]] = {"theirs": lambda: Track(TrackerConfig())}  # by boxes; "ours" is what is held against it


@dataclass(frozen=True, slots=True)
class Setting:
    """Streets of one kind."""

    name: str
    moving_camera: bool
    crowd: Crowd | None


SETTINGS: Final = (
    Setting("crowded", False, CROWDED),
    Setting("moving camera", True, None),
    Setting("crowded, moving camera", True, CROWDED),
)


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured of each setting."""

    worlds: int = 3
    frames: int = 75
    width: int = 640
    height: int = 360


QUICK: Final = Extent(worlds=2, frames=10, width=320, height=180)


class Faulty:
    """Finds the truth of a clip with a detector's faults."""

    name: Final = "true masks with faults"
    classes: Final[Classes] = TAXONOMY.classes

    def __init__(self) -> None:
        self._finder = Finder(self.classes)

    def begin(self, seed: int) -> None:
        """A new clip."""
        self._finder = Finder(self.classes, seed=seed)

    def __call__(self, given: Batch, frame: ClipFrame) -> Batch:
        """The batch with detections and a map."""
        detections, panoptic = self._finder(frame.sample, frame.ids)
        return given.with_(detections=(detections,), panoptic=(panoptic,))


class Nano:
    """Finds what everyframe-nano finds."""

    name: Final = "everyframe-nano"

    def __init__(self) -> None:
        self._subject = Subject(score_floor=None, threads=1)
        self.classes = self._subject.classes

    def begin(self, seed: int) -> None:
        """Nothing is kept from frame to frame."""

    def __call__(self, given: Batch, frame: ClipFrame) -> Batch:
        """The batch with detections and a map."""
        return run_stages(self._subject.stages, given.frames[0])


Source = Faulty | Nano


class Sums:
    """What one way to follow makes of one source, over all clips of a setting."""

    def __init__(self, source: Source, way: Way) -> None:
        self._table = relabelling(source.classes, TAXONOMY)
        self._way = way
        self._tracker = way()
        self._step = StepQuality(TAXONOMY.classes.names)
        self._video = VideoQuality(TAXONOMY.classes.names, things=len(TAXONOMY.things))

    def begin(self) -> None:
        """A new clip."""
        self._tracker = self._way()

    def add(self, clip: str, found: Batch, truth: np.ndarray) -> None:
        """The next frame: what was found, and label and identity of each pixel [H, W, 2]."""
        batch = self._tracker(found)
        assert batch.panoptic is not None
        panoptic = batch.panoptic[0]
        assert panoptic is not None
        pixels = pixels_of(panoptic, *truth.shape[:2], table=self._table)
        followed = with_tracks(pixels, batch)
        self._step.add(clip, followed, truth)
        self._video.add(clip, followed, truth)

    def figures(self) -> dict[str, float | None]:
        """In percent."""
        step, video = self._step.figures(), self._video.figures()
        shown = {"STQ": step.stq, "AQ": step.aq, "VPQ": video.vpq, "VPQ of things": video.things}
        return {name: None if value is None else 100 * value for name, value in shown.items()}


def clip_of(setting: Setting, seed: int, extent: Extent) -> Iterator[ClipFrame]:
    """Frames with their truth, rendered as they are asked for."""
    world = World(
        seed,
        split="unseen",
        width=extent.width,
        height=extent.height,
        fps=FPS,
        moving_camera=setting.moving_camera,
        crowd=setting.crowd,
    )
    for frame in world.frames(extent.frames):
        yield ClipFrame(sample_of(frame), 1 + frame.track_ids)


def measured(setting: Setting, sources: list[Source], ways: dict[str, Way], extent: Extent) -> list[Row]:
    """A row for each source and figure."""
    sums = {source.name: {side: Sums(source, way) for side, way in ways.items()} for source in sources}
    for number in range(extent.worlds):
        seed = FIRST_SEED + number
        for source in sources:
            source.begin(seed)
            for one in sums[source.name].values():
                one.begin()
        for index, frame in enumerate(clip_of(setting, seed, extent)):
            truth = truth_of(frame.sample, ignoring="world", things=len(TAXONOMY.things))
            pixels = with_identities(truth, frame.ids)
            given = frame_of(frame.sample.image, seq=index, source_id="clip", time_ns=round(index / FPS * 1e9))
            for source in sources:
                found = source(Batch((given,)), frame)
                for one in sums[source.name].values():
                    one.add(str(seed), found, pixels)
    return [row for name, of_ways in sums.items() for row in _rows(f"{setting.name}, {name}", of_ways)]


def _rows(name: str, sums: dict[str, Sums]) -> Iterator[Row]:
    sides = {side: one.figures() for side, one in sums.items()}
    for figure in sides["theirs"]:
        mine, other = (sides[side][figure] if side in sides else None for side in ("ours", "theirs"))
        ratio = mine / other if mine is not None and other else None
        yield {"name": f"{name}: {figure}", "ours": mine, "theirs": other, "ratio": ratio, "unit": "%", "target": None}


def run(quick: bool = False, ways: dict[str, Way] | None = None) -> list[Row]:
    """Rows of all settings; quick: two short clips of each, small."""
    sources: list[Source] = [Faulty(), Nano()]
    extent = QUICK if quick else Extent()
    return [row for setting in SETTINGS for row in measured(setting, sources, ways or WAYS, extent)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two short clips of each setting, small")
    show("Video panoptic quality: theirs by boxes", run(parser.parse_args().quick))
