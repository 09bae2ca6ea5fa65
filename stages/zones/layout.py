"""The lines and zones of one source's picture, as arrays of segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.config.zones import LineConfig, PlaceConfig, ZoneConfig, ZonesConfig
from stages.zones.geometry import Bools, Points, crossings, distances, inside

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """The segments of several lines or outlines, one after another."""

    starts: Points  # [S, 2] pixels
    ends: Points  # [S, 2]
    firsts: Ints  # [K] where each line's begin

    @classmethod
    def of(cls, paths: Sequence[Points]) -> Segments:
        """Of paths [P, 2] each, segments between their neighbours."""
        if not paths:
            nothing = np.zeros((0, 2))
            return cls(nothing, nothing, np.zeros(0, dtype=np.int64))
        counts = np.array([len(path) - 1 for path in paths])
        firsts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
        return cls(np.concatenate([p[:-1] for p in paths]), np.concatenate([p[1:] for p in paths]), firsts)

    def reduced(self, ufunc: np.ufunc, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """[N, S] values as [N, K], those of a line's segments put together."""
        return np.asarray(ufunc.reduceat(values, self.firsts, axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """What lies in a picture of one size."""

    lines: tuple[LineConfig, ...]
    zones: tuple[ZoneConfig, ...]
    line_segments: Segments
    zone_edges: Segments
    min_dwell_ns: Ints  # [Z]

    @classmethod
    def of(cls, config: ZonesConfig, source_id: str, width: int, height: int) -> Layout:
        """What the file puts into this source's picture."""
        lines = tuple(line for line in config.lines if line.lies_in(source_id))
        zones = tuple(zone for zone in config.zones if zone.lies_in(source_id))
        size = np.array([width, height], dtype=np.float64)
        open_paths = [np.array(config.fractions_of(line)) * size for line in lines]
        rings = [np.array(config.fractions_of(zone)) * size for zone in zones]
        return cls(
            lines=lines,
            zones=zones,
            line_segments=Segments.of(open_paths),
            zone_edges=Segments.of([np.vstack([ring, ring[:1]]) for ring in rings]),
            min_dwell_ns=np.array([round(zone.min_dwell_seconds * 1e9) for zone in zones], dtype=np.int64),
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to watch."""
        return not self.lines and not self.zones

    def crossed(self, before: Points, after: Points) -> npt.NDArray[np.int8]:
        """Net crossings of each line by each move: [N, L]; see `crossings` for the sign."""
        if not self.lines or not len(before):
            return np.zeros((len(before), len(self.lines)), dtype=np.int8)
        segments = self.line_segments
        return segments.reduced(np.add, crossings(before, after, segments.starts, segments.ends))

    def line_distances(self, points: Points) -> npt.NDArray[np.float64]:
        """[N, L] pixels."""
        return _distances(points, self.line_segments, len(self.lines))

    def inside(self, points: Points) -> Bools:
        """Which points are in which zones: [N, Z]."""
        if not self.zones or not len(points):
            return np.zeros((len(points), len(self.zones)), dtype=np.bool_)
        edges = self.zone_edges
        return edges.reduced(np.logical_xor, inside(points, edges.starts, edges.ends))

    def edge_distances(self, points: Points) -> npt.NDArray[np.float64]:
        """[N, Z] pixels to a zone's outline."""
        return _distances(points, self.zone_edges, len(self.zones))


def _distances(points: Points, segments: Segments, count: int) -> npt.NDArray[np.float64]:
    if not count or not len(points):
        return np.zeros((len(points), count))
    return segments.reduced(np.minimum, distances(points, segments.starts, segments.ends))


def watched(places: Sequence[PlaceConfig], class_names: Sequence[str]) -> Bools:
    """Whether a place looks at tracks of a class: bool [C, K]."""
    rows = [[place.classes is None or name in place.classes for place in places] for name in class_names]
    return np.array(rows, dtype=np.bool_).reshape(len(class_names), len(places))
