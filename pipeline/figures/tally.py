"""What one source's results come to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.figures.levels import Bin, Clockwork, Durations, Snapshot
from pipeline.messages import FrameResult, Gap, Item, TrackState, ZoneEvent

Visits = defaultdict[tuple[str, str], Durations]  # by zone and class


class Watch(Protocol):
    """Tells what tracks do at lines and zones: `stages.zones.ZoneWatch`."""

    def take(self, item: Item) -> list[ZoneEvent]:
        """The events that an item brings."""

    def end_all(self) -> list[ZoneEvent]:
        """The end of every visit there is."""

    def occupancy(self, source_id: str) -> dict[str, int]:
        """How many visitors each zone of a source has now."""


@dataclass(slots=True)
class _Life:
    """A track that goes on."""

    class_name: str
    first_ns: int
    last_ns: int
    in_zones: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))  # seconds in each


@dataclass(slots=True)
class Figures:
    """The sums of one source, or of all of them."""

    frames: int = 0
    gap_frames: int = 0
    epochs: int = 0
    begins_ns: int | None = None  # capture time of the first result and of the last
    ends_ns: int | None = None
    bins: defaultdict[int, Bin] = field(default_factory=lambda: defaultdict(Bin))  # by number from 1970 on
    tracks: Counter[str] = field(default_factory=Counter)  # by class
    dwell: defaultdict[str, Durations] = field(default_factory=lambda: defaultdict(Durations))  # of tracks, by class
    visits: Visits = field(default_factory=lambda: defaultdict(Durations))
    visitors: Visits = field(default_factory=lambda: defaultdict(Durations))  # all visits of a track together

    @property
    def whole(self) -> Bin:
        """All bins together; `tracks` there counts one anew in every bin, and means nothing."""
        total = Bin()
        for one in self.bins.values():
            total.add(one)
        return total

    def add(self, other: Figures) -> None:
        """Those of another source."""
        self.frames += other.frames
        self.gap_frames += other.gap_frames
        self.epochs += other.epochs
        self.begins_ns = min(_known(self.begins_ns, other.begins_ns), default=None)
        self.ends_ns = max(_known(self.ends_ns, other.ends_ns), default=None)
        self.tracks += other.tracks
        for number, one in other.bins.items():
            self.bins[number].add(one)
        for class_name, durations in other.dwell.items():
            self.dwell[class_name].extend(durations)
        for mine, its in ((self.visits, other.visits), (self.visitors, other.visitors)):
            for key, durations in its.items():
                mine[key].extend(durations)


def _known(*times_ns: int | None) -> list[int]:
    return [time_ns for time_ns in times_ns if time_ns is not None]


class Tally:
    """Adds up one source's results, in order; `finish` once at the end."""

    def __init__(self, source_id: str, *, every_ns: int, watch: Watch | None) -> None:
        self.figures = Figures()
        self._source_id, self._every_ns, self._watch = source_id, every_ns, watch
        self._clockwork = Clockwork()
        self._lives: dict[int, _Life] = {}
        self._epoch = 0
        self._bin_number: int | None = None
        self._seen: dict[int, str] = {}  # tracks of this epoch in this bin

    def take(self, item: FrameResult | Gap) -> None:
        """Add a result or a gap."""
        if isinstance(item, Gap):
            self.figures.gap_frames += item.count
        elif item.epoch >= self._epoch:
            self._result(item)

    def finish(self) -> None:
        """Nothing more comes."""
        self._happened(self._watch.end_all() if self._watch else ())
        self._end(list(self._lives))
        self._hold(None)
        self._close_bin()

    def _result(self, result: FrameResult) -> None:
        figures, time_ns = self.figures, result.capture_time_ns
        self._happened(self._watch.take(result) if self._watch else ())
        if result.epoch != self._epoch:
            self._end(list(self._lives))
            self._close_bin()
            self._epoch = result.epoch
            figures.epochs += 1
        figures.frames += 1
        figures.begins_ns = min(_known(figures.begins_ns, time_ns))
        figures.ends_ns = max(_known(figures.ends_ns, time_ns))
        number = time_ns // self._every_ns
        if number != self._bin_number:
            self._close_bin()
            self._bin_number = number
        tracks = result.tracks
        alive = set(tracks.ids[tracks.alive].tolist())
        self._end([track for track in self._lives if track not in alive])
        shown: Counter[str] = Counter()
        for track, class_name in seen_tracks(result):
            shown[class_name] += 1
            self._seen[track] = class_name
            life = self._lives.get(track)
            if life is None:
                self._lives[track] = _Life(class_name, time_ns, time_ns)
            else:
                life.last_ns = time_ns
        occupancy = self._watch.occupancy(self._source_id) if self._watch else {}
        self._hold(Snapshot(result.epoch, result.seq, time_ns, shown, occupancy))

    def _hold(self, shown: Snapshot | None) -> None:
        """The frame before has held until now."""
        held = self._clockwork.next(shown)
        if held is None:
            return
        before, duration_ns = held
        at = self.figures.bins[before.time_ns // self._every_ns]
        at.observed_ns += duration_ns
        for levels, numbers in ((at.classes, before.classes), (at.zones, before.zones)):
            for name, number in numbers.items():
                levels[name].hold(number, duration_ns)

    def _close_bin(self) -> None:
        if self._bin_number is not None:
            self.figures.bins[self._bin_number].tracks.update(self._seen.values())
        self._seen.clear()

    def _happened(self, events: Iterable[ZoneEvent]) -> None:
        for event in events:
            if event.type == "line_crossed":
                crossing = (event.place, event.direction or "", event.class_name or "")
                self.figures.bins[event.time_ns // self._every_ns].crossings[crossing] += 1
            elif event.type == "zone_left" and event.dwell_seconds is not None:
                self.figures.visits[event.place, event.class_name or ""].add(event.dwell_seconds)
                if (life := self._lives.get(event.track_id or 0)) is not None:
                    life.in_zones[event.place] += event.dwell_seconds

    def _end(self, tracks: list[int]) -> None:
        for track in tracks:
            life = self._lives.pop(track)
            self.figures.tracks[life.class_name] += 1
            self.figures.dwell[life.class_name].add((life.last_ns - life.first_ns) / 1e9)
            for zone, seconds in life.in_zones.items():
                self.figures.visitors[zone, life.class_name].add(seconds)


def seen_tracks(result: FrameResult) -> Iterator[tuple[int, str]]:
    """Id and class of the confirmed tracks of a frame."""
    tracks = result.tracks[result.tracks.states == TrackState.CONFIRMED]
    for track, label in zip(tracks.ids.tolist(), tracks.labels.tolist(), strict=True):
        yield track, result.class_name(label)
