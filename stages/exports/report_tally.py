"""What a report tells, gathered result by result. Memory is bounded, however long the recording."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.messages import FrameResult, Gap
from stages.exports.entry import Box, Entry, Seen
from stages.exports.pictures import Place

MOST_BINS: Final = 360  # of the time line
FIRST_BIN_NS: Final = 250_000_000
MOST_TRACKS: Final = 12  # that are shown
MOST_GAPS: Final = 50  # that are listed one by one
HEAT_COLUMNS, HEAT_ROWS = 192, 108


@dataclass(slots=True)
class TrackTally:
    """One track from when it was first counted."""

    number: int  # in the whole recording
    first_ns: int
    last_ns: int
    frames: int = 0
    score_sum: float = 0.0
    label: int = 0  # at the best moment
    best_score: float = -1.0
    best_box: Box = (0.0, 0.0, 0.0, 0.0)
    best_place: Place = Place(0, 0, None)

    def add(self, seen: Seen, place: Place, time_ns: int) -> None:
        """It is in one more frame."""
        self.last_ns, self.frames, self.score_sum = time_ns, self.frames + 1, self.score_sum + seen.score
        if seen.score > self.best_score:
            self.best_score, self.best_box, self.best_place, self.label = seen.score, seen.box, place, seen.label

    @property
    def order(self) -> tuple[int, int]:
        """The longest last; of equals the one with the lower number."""
        return self.last_ns - self.first_ns, -self.number


@dataclass(slots=True)
class ClassTally:
    """One class."""

    tracks: int = 0
    objects: int = 0  # over all frames
    most: int = 0  # at once
    frames: int = 0  # with at least one
    score_sum: float = 0.0


@dataclass(slots=True)
class Bin:
    """A stretch of the time line."""

    frames: int = 0
    objects: Counter[int] = field(default_factory=Counter)  # by label
    place: Place = Place(0, 0, None)  # its first frame


class TimeBins:
    """Stretches of equal length that become twice as long where there would be too many."""

    def __init__(self) -> None:
        self.width_ns = FIRST_BIN_NS
        self.bins: dict[int, Bin] = {}

    def at(self, since_ns: int, place: Place) -> Bin:
        """The stretch of a moment, so long after the start."""
        while since_ns // self.width_ns >= MOST_BINS:
            self._merge()
        return self.bins.setdefault(since_ns // self.width_ns, Bin(place=place))

    def _merge(self) -> None:
        self.width_ns *= 2
        merged: dict[int, Bin] = {}
        for index, one in self.bins.items():
            kept = merged.setdefault(index // 2, Bin(place=one.place))
            kept.frames += one.frames
            kept.objects.update(one.objects)
        self.bins = merged


class Heat:
    """How often each place of the picture lay in the box of an object."""

    def __init__(self) -> None:
        self._edges: npt.NDArray[np.int64] = np.zeros((HEAT_ROWS + 1, HEAT_COLUMNS + 1), dtype=np.int64)

    def add(self, boxes: npt.NDArray[np.float64], width: int, height: int) -> None:
        """Boxes [N, 4] of a frame of this size."""
        scale = np.array([HEAT_COLUMNS / width, HEAT_ROWS / height] * 2)
        near = np.clip(np.round(boxes * scale), 0, [HEAT_COLUMNS, HEAT_ROWS] * 2).astype(np.intp)
        left, top, right, bottom = near.T
        for rows, columns, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
            np.add.at(self._edges, (rows, columns), sign)

    def counts(self) -> npt.NDArray[np.int64]:
        """Objects over all frames, by place [rows, columns]."""
        return np.asarray(self._edges.cumsum(axis=0).cumsum(axis=1)[:-1, :-1])


class GapNote(NamedTuple):
    """A gap, and where it is."""

    gap: Gap
    number: int  # of its first frame in the recording
    after_ns: int | None  # when the last result before it was captured, since the start


class Tally:
    """Everything."""

    def __init__(self) -> None:
        self.source_id = ""
        self.frames = self.results = self.analysed = 0
        self.first: FrameResult | None = None
        self.last_ns = self.paused_ns = self.breaks = 0
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.classes: dict[int, ClassTally] = {}
        self.bins, self.heat = TimeBins(), Heat()
        self.gaps: list[GapNote] = []
        self.gap_count = 0
        self.lost: Counter[str] = Counter()  # frames by reason
        self.busiest: FrameResult | None = None
        self.most = 0  # objects at once
        self.broken = False  # the time line went back: a time stamp does not say which frame is meant
        self._last_pts: int | None = None
        self._epoch = 0
        self._alive: dict[int, TrackTally] = {}
        self._longest: list[tuple[tuple[int, int], TrackTally]] = []

    def add(self, entry: Entry) -> None:
        """Take in a result or a gap."""
        item = entry.item
        self.source_id = item.source_id
        if isinstance(item, Gap):
            self._add_gap(item, entry.number)
        else:
            self._add_result(item, entry)

    @property
    def first_ns(self) -> int:
        """When the first result was captured."""
        return 0 if self.first is None else self.first.capture_time_ns

    @property
    def duration_ns(self) -> int:
        """From the first result to the last."""
        return max(0, self.last_ns - self.first_ns)

    @property
    def rate(self) -> float:
        """Frames a second, but for what lies between parts of a broken time line; 0 where nothing tells."""
        active_ns = self.duration_ns - self.paused_ns
        return (self.frames - 1 - self.breaks) / (active_ns / 1e9) if active_ns > 0 else 0.0

    def longest(self) -> list[TrackTally]:
        """The tracks that were seen longest, longest first; none that is alive is missed once all was added."""
        self._retire(set())
        return [track for _, track in sorted(self._longest, key=lambda pair: pair[0], reverse=True)]

    def scene(self) -> Place | None:
        """A frame of the middle."""
        middle = self.duration_ns // 2 // self.bins.width_ns
        near = min(self.bins.bins, key=lambda index: (abs(index - middle), index), default=None)
        return None if near is None else self.bins.bins[near].place

    def _add_gap(self, gap: Gap, number: int) -> None:
        self.frames += gap.count
        self.gap_count += 1
        self.lost[gap.reason] += gap.count
        if len(self.gaps) < MOST_GAPS:
            self.gaps.append(GapNote(gap, number, None if self.first is None else self.last_ns - self.first_ns))

    def _add_result(self, result: FrameResult, entry: Entry) -> None:
        self.first = self.first or result
        self.frames, self.results = self.frames + 1, self.results + 1
        self.analysed += result.analysed
        self.sizes[result.width, result.height] += 1
        self.broken |= self._last_pts is not None and result.pts is not None and result.pts <= self._last_pts
        if result.discontinuity and self.results > 1:
            self.breaks += 1
            self.paused_ns += max(0, result.capture_time_ns - self.last_ns)
        self._last_pts, self.last_ns = result.pts, max(self.last_ns, result.capture_time_ns)
        if result.epoch != self._epoch:
            self._retire(set())
            self._epoch = result.epoch
        self._count(entry.seen, result)
        self._follow(entry.seen, result, entry)

    def _count(self, seen: list[Seen], result: FrameResult) -> None:
        place = Place(result.epoch, result.seq, result.pts)
        labels = Counter(one.label for one in seen)
        stretch = self.bins.at(max(0, result.capture_time_ns - self.first_ns), place)
        stretch.frames += 1
        stretch.objects.update(labels)
        for label, count in labels.items():
            kind = self.classes.setdefault(label, ClassTally())
            kind.objects, kind.frames, kind.most = kind.objects + count, kind.frames + 1, max(kind.most, count)
        for one in seen:
            self.classes[one.label].score_sum += one.score
        if seen:
            self.heat.add(np.array([one.box for one in seen]), result.width, result.height)
        if self.busiest is None or len(seen) > self.most:
            self.busiest, self.most = result, len(seen)

    def _follow(self, seen: list[Seen], result: FrameResult, entry: Entry) -> None:
        place = Place(result.epoch, result.seq, result.pts)
        for one in seen:
            track = self._alive.get(one.track_id)
            if track is None:
                number = one.track_id + entry.tracks_before
                track = TrackTally(number, result.capture_time_ns, result.capture_time_ns)
                self._alive[one.track_id] = track
            track.add(one, place, result.capture_time_ns)
        self._retire(set(result.tracks.ids.tolist()))

    def _retire(self, known: set[int]) -> None:
        """Tracks that the tracker no longer knows are over."""
        for track_id in [id_ for id_ in self._alive if id_ not in known]:
            track = self._alive.pop(track_id)
            self.classes[track.label].tracks += 1
            push = heapq.heappushpop if len(self._longest) >= MOST_TRACKS else heapq.heappush
            push(self._longest, (track.order, track))
