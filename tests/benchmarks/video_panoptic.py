"""Video panoptic quality on synthetic streets, whose truth is exact: following by masks (ours) and by boxes (theirs).

``python -m tests.benchmarks.video_panoptic [--quick]`` prints the table, in percent. Crowded streets and cameras that
move, of the split that nothing is trained on. What is found is the truth with a detector's faults
(`tests.stages.finder`), and what everyframe-nano finds; all ways are given the same findings. Boxes are followed at the
tracker's own thresholds of scores, and once more at that of the map, since by masks whatever the map shows is followed.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import signature
from typing import Final

import numpy as np
from numpy.typing import NDArray

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
from stages.segment.merge import merge_instances
from stages.track import Track
from tests.benchmarks.table import Row, show
from tests.stages.finder import Finder

FIRST_SEED: Final = UNSEEN_SEED + 500_000  # far from those of `everyframe evaluate`
CROWDED: Final = Crowd(vehicles=14, cyclists=10, walkers=36, standers=8)
TAXONOMY: Final = world_taxonomy()
FPS: Final = 12.5
AT_BEST: Final = "with identities told"  # what no way to follow can surpass by much
AT_MAP_SCORE: Final = "boxes at the map's threshold of scores"  # so much of the gain needs no mask
DRAWN: Final = {"ours": "by masks", "theirs": "by boxes"}
MIXED_UP: Final = "segments with another thing's track"  # less is better
_MOST_THINGS: Final = 1 << 20
Pixels = NDArray[np.int64]  # [H, W, 2] label and identity
MAP_SCORE_THRESHOLD: Final[float] = signature(merge_instances).parameters["score_threshold"].default
Way = Callable[[], Stage]  # a tracker for one clip
WAYS: Final[dict[str, Way]] = {
    "ours": lambda: Track(TrackerConfig(follow="masks")),
    "theirs": lambda: Track(TrackerConfig()),
    AT_MAP_SCORE: lambda: Track(TrackerConfig(high_score=MAP_SCORE_THRESHOLD, new_track_score=MAP_SCORE_THRESHOLD)),
}


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

    worlds: int = 2
    frames: int = 50
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
    """Figures of one source, followed in one way, over all clips of a setting."""

    def __init__(self) -> None:
        self._step = StepQuality(TAXONOMY.classes.names)
        self._video = VideoQuality(TAXONOMY.classes.names, things=len(TAXONOMY.things))
        self._things_of: defaultdict[tuple[str, int], Counter[int]] = defaultdict(Counter)

    def add(self, clip: str, followed: Pixels, told: Pixels, truth: Pixels) -> None:
        """The next frame; `told` is what `with_identities_told` makes of the same segments."""
        self._step.add(clip, followed, truth)
        self._video.add(clip, followed, truth)
        known = (followed[..., 1] > 0) & (told[..., 1] > 0)
        for pair in np.unique(followed[known][:, 1] * _MOST_THINGS + told[known][:, 1]).tolist():
            track, thing = divmod(pair, _MOST_THINGS)
            self._things_of[clip, track][thing] += 1

    def figures(self) -> dict[str, float | None]:
        """In percent."""
        step, video = self._step.figures(), self._video.figures()
        shown = {
            "STQ": step.stq,
            "AQ": step.aq,
            "VPQ": video.vpq,
            "VPQ of things": video.things,
            MIXED_UP: self._mixed(),
        }
        return {name: None if value is None else 100 * value for name, value in shown.items()}

    def _mixed(self) -> float | None:
        """The share of segments whose track is mostly another thing's."""
        segments = sum(things.total() for things in self._things_of.values())
        own = sum(max(things.values()) for things in self._things_of.values())
        return (segments - own) / segments if segments else None


class Run:
    """One source, followed in all ways."""

    def __init__(self, source: Source, ways: dict[str, Way]) -> None:
        self.source, self._ways = source, ways
        self._table = relabelling(source.classes, TAXONOMY)
        self._trackers: dict[str, Stage] = {}
        self.sums = {side: Sums() for side in (*ways, AT_BEST)}

    def begin(self, seed: int) -> None:
        """A new clip."""
        self.source.begin(seed)
        self._trackers = {side: way() for side, way in self._ways.items()}

    def add(self, clip: str, given: Batch, frame: ClipFrame, truth: Pixels) -> None:
        """The next frame."""
        found = self.source(given, frame)
        assert found.panoptic is not None
        panoptic = found.panoptic[0]
        assert panoptic is not None
        pixels = pixels_of(panoptic, *truth.shape[:2], table=self._table)
        told = with_identities_told(pixels, truth)
        for side, tracker in self._trackers.items():
            self.sums[side].add(clip, with_tracks(pixels, tracker(found)), told, truth)
        self.sums[AT_BEST].add(clip, told, told, truth)


def with_identities_told(found: Pixels, truth: Pixels) -> Pixels:
    """Each pixel's segment replaced by the thing of the truth that the segment shows most of."""
    segments, things = found[..., 1], truth[..., 1]
    span = int(things.max()) + 1
    shown = np.bincount((segments * span + things).ravel(), minlength=(int(segments.max()) + 1) * span)
    shown = shown.reshape(-1, span)
    shown[:, 0] = 0
    identities = np.where(shown.any(1), shown.argmax(1), -np.arange(len(shown)))
    identities[0] = 0
    return np.stack([found[..., 0], identities[segments]], -1)


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
    runs = [Run(source, ways) for source in sources]
    for number in range(extent.worlds):
        seed = FIRST_SEED + number
        for one in runs:
            one.begin(seed)
        for index, frame in enumerate(clip_of(setting, seed, extent)):
            truth = truth_of(frame.sample, ignoring="world", things=len(TAXONOMY.things))
            pixels = with_identities(truth, frame.ids)
            given = frame_of(frame.sample.image, seq=index, source_id="clip", time_ns=round(index / FPS * 1e9))
            for one in runs:
                one.add(str(seed), Batch((given,)), frame, pixels)
    return [row for one in runs for row in _rows(f"{setting.name}, {one.source.name}", one.sums)]


def _rows(name: str, sums: dict[str, Sums]) -> Iterator[Row]:
    figures = {side: one.figures() for side, one in sums.items()}
    for figure in figures["theirs"]:
        mine, other = (figures[side][figure] if side in figures else None for side in ("ours", "theirs"))
        ratio = _ratio(mine, other, less_is_better=figure == MIXED_UP)
        row = {"name": f"{name}: {figure}", "ours": mine, "theirs": other, "ratio": ratio, "unit": "%", "target": None}
        if figure == "STQ":
            told = {DRAWN.get(side, side): one[figure] for side, one in figures.items()}
            row |= {"group": name.replace(", ", "\n"), "bars": told}
        yield row
    if AT_MAP_SCORE in figures:
        mine, other = (figures[side]["STQ"] if side in figures else None for side in ("ours", AT_MAP_SCORE))
        ratio = _ratio(mine, other, less_is_better=False)
        about = f"{name}: STQ, {AT_MAP_SCORE}"
        yield {"name": about, "ours": mine, "theirs": other, "ratio": ratio, "unit": "%", "target": None}
    most = figures[AT_BEST]["STQ"]
    yield {"name": f"{name}: STQ {AT_BEST}", "ours": most, "theirs": most, "ratio": None, "unit": "%", "target": None}


def _ratio(ours: float | None, theirs: float | None, *, less_is_better: bool) -> float | None:
    above, below = (theirs, ours) if less_is_better else (ours, theirs)
    return above / below if above is not None and below else None


def run(quick: bool = False, ways: dict[str, Way] | None = None) -> list[Row]:
    """Rows of all settings; quick: two short clips of each, small."""
    sources: list[Source] = [Faulty(), Nano()]
    extent = QUICK if quick else Extent()
    return [row for setting in SETTINGS for row in measured(setting, sources, ways or WAYS, extent)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two short clips of each setting, small")
    show("Video panoptic quality, by masks against by boxes", run(parser.parse_args().quick))
