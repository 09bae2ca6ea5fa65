"""The figures as one document, as `--json` prints it; stages/zones/README.md explains every field."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeVar

import msgspec
import numpy as np

from pipeline.config.zones import LineConfig, ZoneConfig, ZonesConfig
from pipeline.figures.levels import Bin, Crossing, Durations, Level
from pipeline.figures.tally import Figures

SCHEMA: Final = "1.0"
DECIMALS: Final = 4
A_DAY_OF_1971_NS: Final = 31_536_000 * 10**9  # before that, a recording's times are positions in it


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all parts."""


class Spread(_Part, frozen=True, kw_only=True):
    """How long things took, in seconds."""

    count: int
    median_seconds: float
    p90_seconds: float
    longest_seconds: float


class BinClass(_Part, frozen=True, kw_only=True):
    """One class in a piece of time."""

    class_name: str
    tracks: int
    most_at_once: int
    mean_at_once: float


class ClassPart(BinClass, frozen=True, kw_only=True):
    """One class over the whole time."""

    dwell: Spread


class CrossingPart(_Part, frozen=True, kw_only=True):
    """How often a line was crossed one way, by one class."""

    line: str
    direction: str
    class_name: str
    count: int


class DirectionPart(_Part, frozen=True, kw_only=True):
    """How often a line was crossed one way."""

    line: str
    direction: str
    count: int
    classes: dict[str, int]


class VisitPart(_Part, frozen=True, kw_only=True):
    """One class's visits of a zone, and what each track's add up to."""

    class_name: str
    visits: Spread
    tracks: Spread


class BinZone(_Part, frozen=True, kw_only=True):
    """One zone in a piece of time."""

    zone: str
    occupied_share: float
    most_at_once: int
    mean_at_once: float


class ZonePart(BinZone, frozen=True, kw_only=True):
    """One zone over the whole time."""

    visits: Spread
    classes: list[VisitPart]


class BinPart(_Part, frozen=True, kw_only=True):
    """A piece of time of which there are results."""

    begins_ns: int
    observed_seconds: float
    classes: list[BinClass]
    lines: list[CrossingPart]
    zones: list[BinZone]


class Part(_Part, frozen=True, kw_only=True):
    """One source, or all together."""

    recording: str  # the folder's name; of all together empty
    source_id: str
    frames: int
    gap_frames: int
    epochs: int
    time: Literal["of day", "position"]  # what times count from: 1970, or the beginning of each recording
    begins_ns: int | None
    ends_ns: int | None
    observed_seconds: float
    classes: list[ClassPart]
    lines: list[DirectionPart]
    zones: list[ZonePart]
    bins: list[BinPart]


class Document(_Part, frozen=True, kw_only=True):
    """All of it."""

    schema: str = msgspec.field(default_factory=lambda: SCHEMA)
    directory: str
    zones_file: str | None
    every_seconds: float
    from_: str | None = msgspec.field(name="from", default=None)
    to: str | None = None
    overall: Part
    recordings: list[Part]


def part_of(
    figures: Figures,
    *,
    recording: str,
    source_id: str,
    sources: Sequence[str],
    every_ns: int,
    zones: ZonesConfig | None,
) -> Part:
    """What the figures of one source, or of several added up, come to; `sources` are theirs."""
    whole = figures.whole
    lines = [] if zones is None else _lying(zones.lines, sources)
    areas = [] if zones is None else _lying(zones.zones, sources)
    return Part(
        recording=recording,
        source_id=source_id,
        frames=figures.frames,
        gap_frames=figures.gap_frames,
        epochs=figures.epochs,
        time="position" if figures.begins_ns is not None and figures.begins_ns < A_DAY_OF_1971_NS else "of day",
        begins_ns=figures.begins_ns,
        ends_ns=figures.ends_ns,
        observed_seconds=_round(whole.observed_ns / 1e9),
        classes=[_class(name, figures, whole) for name in _by_count(figures)],
        lines=[_direction(line, word, whole) for line in lines for word in line.directions],
        zones=[_zone(zone.name, figures, whole) for zone in areas],
        bins=[_bin(number * every_ns, one, areas) for number, one in sorted(figures.bins.items())],
    )


Place = TypeVar("Place", LineConfig, ZoneConfig)


def _lying(places: Iterable[Place], sources: Sequence[str]) -> list[Place]:
    return [place for place in places if any(place.lies_in(source) for source in sources)]


def _by_count(figures: Figures) -> list[str]:
    """Classes, the most frequent first."""
    return sorted(figures.tracks, key=lambda name: (-figures.tracks[name], name))


def _class(name: str, figures: Figures, whole: Bin) -> ClassPart:
    level = whole.classes[name]
    return ClassPart(
        class_name=name,
        tracks=figures.tracks[name],
        most_at_once=level.most,
        mean_at_once=_share(level.total_ns, whole),
        dwell=_spread(figures.dwell[name].values()),
    )


def _direction(line: LineConfig, word: str, whole: Bin) -> DirectionPart:
    classes: dict[str, int] = defaultdict(int)
    for (name, direction, class_name), count in whole.crossings.items():
        if (name, direction) == (line.name, word):
            classes[class_name] += count
    ordered = dict(sorted(classes.items(), key=lambda pair: (-pair[1], pair[0])))
    return DirectionPart(line=line.name, direction=word, count=sum(ordered.values()), classes=ordered)


def _zone(name: str, figures: Figures, whole: Bin) -> ZonePart:
    level = whole.zones[name]
    classes = sorted(class_name for zone, class_name in figures.visits if zone == name)
    visits = [figures.visits[name, class_name].values() for class_name in classes]
    return ZonePart(
        zone=name,
        occupied_share=_share(level.some_ns, whole),
        most_at_once=level.most,
        mean_at_once=_share(level.total_ns, whole),
        visits=_spread(np.concatenate([np.zeros(0), *visits])),
        classes=[
            VisitPart(
                class_name=class_name,
                visits=_spread(figures.visits[name, class_name].values()),
                tracks=_spread(figures.visitors.get((name, class_name), Durations()).values()),
            )
            for class_name in classes
        ],
    )


def _bin(begins_ns: int, one: Bin, areas: Sequence[ZoneConfig]) -> BinPart:
    names = sorted(set(one.tracks) | set(one.classes))
    crossings: list[tuple[Crossing, int]] = sorted(one.crossings.items())
    levels = {zone.name: one.zones.get(zone.name, Level()) for zone in areas}
    return BinPart(
        begins_ns=begins_ns,
        observed_seconds=_round(one.observed_ns / 1e9),
        classes=[
            BinClass(
                class_name=name,
                tracks=one.tracks[name],
                most_at_once=one.classes[name].most,
                mean_at_once=_share(one.classes[name].total_ns, one),
            )
            for name in names
        ],
        lines=[
            CrossingPart(line=line, direction=word, class_name=class_name, count=count)
            for (line, word, class_name), count in crossings
        ],
        zones=[
            BinZone(
                zone=name,
                occupied_share=_share(level.some_ns, one),
                most_at_once=level.most,
                mean_at_once=_share(level.total_ns, one),
            )
            for name, level in levels.items()
        ],
    )


def _spread(seconds: np.typing.NDArray[np.float64]) -> Spread:
    if not len(seconds):
        return Spread(count=0, median_seconds=0.0, p90_seconds=0.0, longest_seconds=0.0)
    median, p90 = np.quantile(seconds, [0.5, 0.9]).tolist()
    return Spread(
        count=len(seconds),
        median_seconds=_round(median),
        p90_seconds=_round(p90),
        longest_seconds=_round(float(seconds.max())),
    )


def _share(part_ns: int, one: Bin) -> float:
    return _round(part_ns / one.observed_ns) if one.observed_ns else 0.0


def _round(value: float) -> float:
    return round(value, DECIMALS)
