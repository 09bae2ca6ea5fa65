"""Roads as bands along a line or an arc, routes along them, and the signals that hold routes up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from stages.models.world.camera import Floats

RouteKind = Literal["lane", "cycle", "foot"]

_STRAIGHT = 1e-6  # 1 / metres


@dataclass(frozen=True, slots=True, eq=False)
class Road:
    """A road whose middle starts at `origin` (position 0) towards `heading` and turns right by `curvature` a metre."""

    origin: Floats  # [2]
    heading: float
    curvature: float
    half_width: float  # of the carriageway
    lanes: int  # in each direction
    lane_width: float
    pavement: float  # width on each side
    verge: float  # width of the green strip between carriageway and pavement, 0 for none
    first: float  # where the road begins and ends along its middle
    last: float

    @property
    def reach(self) -> float:
        """From the middle to the outer edge of the pavement."""
        return self.half_width + self.verge + self.pavement

    def points(self, along: Floats, aside: Floats | float) -> Floats:
        """World points at distances along the middle and to its right.  [n, 2]"""
        turn = self.curvature * along
        sin, cos = np.sin(self.heading), np.cos(self.heading)
        if abs(self.curvature) < _STRAIGHT:
            ahead, right = along, np.zeros_like(along)
        else:
            ahead, right = np.sin(turn) / self.curvature, (1 - np.cos(turn)) / self.curvature
        east = self.origin[0] + ahead * sin + right * cos + aside * np.cos(self.heading + turn)
        north = self.origin[1] + ahead * cos - right * sin - aside * np.sin(self.heading + turn)
        points = np.empty((*np.shape(east), 2))
        points[..., 0], points[..., 1] = east, north
        return points

    def heading_at(self, along: float) -> float:
        return self.heading + self.curvature * along

    def samples(self, first: float, last: float) -> Floats:
        """Positions close enough together to draw a band of the road as a polygon.  [n]"""
        count = 2 if abs(self.curvature) < _STRAIGHT else max(2, int((last - first) / 4.0))
        return np.linspace(first, last, count)

    def band(self, left: float, right: float, first: float, last: float) -> Floats:
        """The outline of a strip between two distances to the right of the middle.  [n, 2]"""
        along = self.samples(first, last)
        return np.concatenate([self.points(along, left), self.points(along[::-1], right)])


@dataclass(frozen=True, slots=True)
class Gate:
    """Where a route waits for its signal; beyond lie `clear` metres nobody may stand on against the signal."""

    position: float
    signal: int
    clear: float


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A line that vehicles, bicycles or people follow."""

    kind: RouteKind
    points: Floats  # [n, 2]
    distances: Floats  # [n] along the route
    gates: tuple[Gate, ...]
    speed: tuple[float, float]  # metres a second

    @property
    def length(self) -> float:
        return float(self.distances[-1])

    def at(self, along: Floats) -> Floats:
        """World points at distances along the route.  [n, 2]"""
        points = np.empty((len(along), 2))
        points[:, 0] = np.interp(along, self.distances, self.points[:, 0])
        points[:, 1] = np.interp(along, self.distances, self.points[:, 1])
        return points

    def heading_at(self, along: float, *, wheelbase: float = 1.0) -> float:
        """The heading of something so long that stands there; it turns in smoothly."""
        back, front = self.at(np.array([along - wheelbase / 2, along + wheelbase / 2]))
        east, north = front - back
        return float(np.arctan2(east, north))


def route(kind: RouteKind, points: Floats, *, gates: tuple[Gate, ...] = (), speed: tuple[float, float]) -> Route:
    """A route through points [n, 2]."""
    steps = np.hypot(*np.diff(points, axis=0).T)
    kept = np.concatenate([[True], steps > 1e-3])
    points = points[kept]
    distances = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    return Route(kind, points, distances, gates, speed)


_CYCLE_SECONDS: Final = 30.0
# Signal groups: 0 traffic on the main road, 1 on the side road, 2 people across the main road, 3 across the side road.
_GREEN: Final[dict[int, tuple[float, float]]] = {0: (0.0, 12.0), 1: (15.0, 26.0), 2: (15.5, 22.0), 3: (0.5, 8.0)}


@dataclass(frozen=True, slots=True)
class Signals:
    """Fixed-time traffic lights; `offset_seconds` is where in their cycle the world begins."""

    offset_seconds: float

    def green(self, signal: int, seconds: float) -> bool:
        start, end = _GREEN[signal]
        return start <= (seconds + self.offset_seconds) % _CYCLE_SECONDS < end
