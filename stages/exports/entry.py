"""What exports are given: a recording, and its results and gaps one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.config import SourceConfig
from pipeline.messages import NO_TRACK, FrameResult, Gap, Int32, Surface, TrackState
from pipeline.wire.coco import counts_of, encode_coco

Box = tuple[float, float, float, float]  # xyxy, source pixels


class Stopped(Exception):  # noqa: N818 - no error: somebody asked for it
    """The run is to end before the exports are made."""


@dataclass(frozen=True, slots=True)
class Job:
    """One recording, of one file or of segments that follow one another, and where its files go."""

    results: Path
    folder: Path
    videos: tuple[Path, ...]
    source: SourceConfig
    stopping: Callable[[], bool] = lambda: False

    @property
    def shown(self) -> str:
        """The recording, in a few words."""
        first, *others = map(str, self.videos)
        return f"{first} and {len(others)} more" if others else first

    def check(self) -> None:
        """Raises `Stopped` where it is time to."""
        if self.stopping():
            raise Stopped


class Entry:
    """A result or a gap at its place in the recording."""

    def __init__(
        self, item: FrameResult | Gap, *, number: int, tracks_before: int = 0, surface: Surface | None = None
    ) -> None:
        """`number`: of the (first) frame, from 0, over all epochs. `tracks_before`: ids that earlier epochs used up."""
        self.item, self.number, self.tracks_before, self.surface = item, number, tracks_before, surface

    @property
    def result(self) -> FrameResult | None:
        """The result; None for a gap."""
        return self.item if isinstance(self.item, FrameResult) else None

    def track_number(self, track_id: int) -> int | None:
        """A track's number in the whole recording, where its id is unique within an epoch alone; None without one."""
        return None if track_id == NO_TRACK else track_id + self.tracks_before

    @cached_property
    def ids(self) -> npt.NDArray[np.uint16]:
        """The id map [height, width] at the size of the picture; all void where there is none."""
        result = self.result
        if result is None or result.panoptic is None:
            return np.zeros((0, 0) if result is None else (result.height, result.width), dtype=np.uint16)
        return result.panoptic.at_size(result.width, result.height)

    @cached_property
    def masks(self) -> dict[int, Mask]:
        """The masks of all segments by id, at the size of the picture; empty where there is no map."""
        result = self.result
        if result is None or result.panoptic is None:
            return {}
        ids = result.panoptic.segments.ids
        texts = encode_coco(self.ids, ids)
        return {id_: Mask(text) for id_, text in zip(ids.tolist(), texts, strict=True)}

    @cached_property
    def segment_of_detection(self) -> Int32:
        """The segment id of each detection [N]; 0 where one has no mask."""
        count = 0 if self.result is None else len(self.result.detections)
        panoptic = None if self.result is None else self.result.panoptic
        return np.zeros(count, dtype=np.int32) if panoptic is None else panoptic.segments.of_detections(count)

    @cached_property
    def seen(self) -> list[Seen]:
        """What is counted: see `seen_in`; nothing of a gap."""
        return [] if self.result is None else seen_in(self.result)


@dataclass(frozen=True)
class Mask:
    """One segment's pixels of the picture."""

    counts: str  # COCO's compressed run lengths

    @cached_property
    def area(self) -> int:
        """How many there are."""
        return int(counts_of(self.counts)[1::2].sum())


class Seen(NamedTuple):
    """A confirmed track in a frame that shows it."""

    track_id: int
    label: int
    score: float
    box: Box


def seen_in(result: FrameResult) -> list[Seen]:
    """What is counted: confirmed tracks with a box of this frame, the network's or, where it did not look, theirs."""
    tracks, found = result.tracks, result.detections
    shown = np.flatnonzero((tracks.states == TrackState.CONFIRMED) & (tracks.detection_index >= 0))
    rows = tracks.detection_index[shown]
    whole = np.isfinite(found.boxes[rows]).all(axis=1) & np.isfinite(found.scores[rows])
    return [
        Seen(id_, label, score, (box[0], box[1], box[2], box[3]))
        for id_, label, score, box, usable in zip(
            tracks.ids[shown].tolist(),
            tracks.labels[shown].tolist(),
            found.scores[rows].tolist(),
            found.boxes[rows].tolist(),
            whole.tolist(),
            strict=True,
        )
        if usable
    ]


class Export(Protocol):
    """Writes some of a recording's files. They appear when `finish` returns, whole, in place of earlier ones."""

    wants_pictures: bool

    def add(self, entry: Entry) -> None:
        """Take in what comes next. Raises `SinkError`."""

    def finish(self) -> None:
        """Put the files in place. Raises `SinkError`, `SourceError`, `Stopped`."""

    def abandon(self) -> None:
        """Remove what is not in place. Calling it twice, or after `finish`, does no harm."""


def numbered(items: Iterable[FrameResult | Gap]) -> Iterator[Entry]:
    """Results and gaps with their places in the recording."""
    number = tracks_before = highest = epoch = 0
    for item in items:
        if item.epoch != epoch:
            epoch, tracks_before, highest = item.epoch, tracks_before + highest, 0
        yield Entry(item, number=number, tracks_before=tracks_before)
        if isinstance(item, Gap):
            number += item.count
        else:
            number += 1
            highest = max(highest, int(item.tracks.ids.max(initial=0)), int(item.track_ids.max(initial=0)))


def utc_of(time_ns: int) -> datetime | None:
    """A moment to the microsecond; None where it lies past the calendar, as a damaged time stamp may."""
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_ns // 1000)
    except OverflowError:
        return None
