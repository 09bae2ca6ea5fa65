"""Solid shapes in their own axes: x forward, y left, z up, metres, standing on z = 0 at the origin.

A `Mesh` is a list of flat faces grouped into solids.  Faces that lie on another face (windows, lamps, stripes) are its
details and are painted right after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from stages.models.world.camera import Floats

Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Faces ready to be drawn.  F faces, V vertices."""

    vertices: Floats  # [V, 3]
    starts: tuple[int, ...]  # [F + 1] face f has vertices starts[f] : starts[f + 1]
    normals: Floats  # [F, 3] outward, unit
    centres: Floats  # [F, 3]
    albedo: Floats  # [F, 3]
    glow: Floats  # [F] share of the colour that shines by itself
    parents: np.ndarray[tuple[int], np.dtype[np.int64]]  # [F] the face whose place in the order it shares
    solids: np.ndarray[tuple[int], np.dtype[np.int64]]  # [F]
    finest: Floats  # [F] smallest height of the object, in pixels, at which the face is worth drawing
    spans: Floats  # [S, 2] extent of each solid along x
    levels: Floats  # [S] solids of a higher level stand on those of a lower one
    size: Floats  # [3] length, width, height

    @property
    def footprint(self) -> Floats:
        """Corners on the ground, counter-clockwise.  [4, 2]"""
        length, width = self.size[0] / 2, self.size[1] / 2
        return np.array([[length, -width], [length, width], [-length, width], [-length, -width]])


@dataclass(slots=True)
class MeshBuilder:
    """Collects faces; `solid` begins a new solid, `face` adds an outer face to it, `detail` lies on the last face."""

    _points: list[Floats] = field(default_factory=list)
    _normals: list[Floats] = field(default_factory=list)
    _albedo: list[Colour] = field(default_factory=list)
    _glow: list[float] = field(default_factory=list)
    _parents: list[int] = field(default_factory=list)
    _solids: list[int] = field(default_factory=list)
    _finest: list[float] = field(default_factory=list)
    _levels: list[float] = field(default_factory=list)
    _middle: Floats = field(default_factory=lambda: np.zeros(3))

    def solid(self, middle: Sequence[float], *, level: float = 0.0) -> None:
        """Begins a convex (or nearly convex) solid around `middle`."""
        self._middle = np.array(middle, float)
        self._levels.append(level)

    def face(self, points: Floats, colour: Colour, *, glow: float = 0.0) -> None:
        """An outer face [n, 3]; its normal is turned away from the middle of the solid."""
        normal, centre = _normal_and_centre(points)
        if normal @ (centre - self._middle) < 0:
            normal = -normal
        self._add(points, normal, colour, glow=glow, parent=len(self._points), finest=0.0)

    def detail(self, points: Floats, colour: Colour, *, glow: float = 0.0, finest: float = 0.0) -> None:
        """Something on the last outer face."""
        parent = self._parents[-1]
        self._add(points, self._normals[parent], colour, glow=glow, parent=parent, finest=finest)

    def box(self, low: Sequence[float], high: Sequence[float], colour: Colour, *, level: float = 0.0) -> None:
        """A plain box."""
        low_, high_ = np.array(low, float), np.array(high, float)
        self.solid((low_ + high_) / 2, level=level)
        for side in box_sides(low_, high_).values():
            self.face(side, colour)

    def build(self) -> Mesh:
        points = self._points
        solids = np.array(self._solids)
        vertices = np.concatenate(points)
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        counts = np.array([len(face) for face in points])
        starts = np.concatenate([[0], np.cumsum(counts)])
        owners = np.repeat(solids, counts)
        spans = np.empty((len(self._levels), 2))
        for solid in range(len(self._levels)):
            along = vertices[owners == solid, 0]
            spans[solid] = along.min(), along.max()
        return Mesh(
            vertices=vertices,
            starts=tuple(starts.tolist()),
            normals=np.array(self._normals),
            centres=np.add.reduceat(vertices, starts[:-1]) / counts[:, None],
            albedo=np.array(self._albedo, float),
            glow=np.array(self._glow),
            parents=np.array(self._parents),
            solids=solids,
            finest=np.array(self._finest),
            spans=spans,
            levels=np.array(self._levels),
            size=np.array([2 * max(-low[0], high[0]), 2 * max(-low[1], high[1]), high[2]]),
        )

    def _add(self, points: Floats, normal: Floats, colour: Colour, *, glow: float, parent: int, finest: float) -> None:
        self._points.append(np.asarray(points, float))
        self._normals.append(normal)
        self._albedo.append(colour)
        self._glow.append(glow)
        self._parents.append(parent)
        self._solids.append(len(self._levels) - 1)
        self._finest.append(finest)


def box_sides(low: Floats, high: Floats) -> dict[str, Floats]:
    """The sides of a box but its bottom, each [4, 3]: for the upright ones first the two lower corners.

    Along a side's lower edge one walks from rear to front (left, right) or from right to left (front, back).
    """
    (x0, y0, z0), (x1, y1, z1) = low, high
    return {
        "right": np.array([(x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1)], float),
        "left": np.array([(x0, y1, z0), (x1, y1, z0), (x1, y1, z1), (x0, y1, z1)], float),
        "front": np.array([(x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1)], float),
        "back": np.array([(x0, y0, z0), (x0, y1, z0), (x0, y1, z1), (x0, y0, z1)], float),
        "top": np.array([(x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)], float),
    }


def patch(side: Floats, across: tuple[float, float], up: tuple[float, float]) -> Floats:
    """A part of a four-cornered side in its own coordinates, 0..1 along the lower edge and upwards.  [4, 3]"""
    u = np.array([across[0], across[1], across[1], across[0]])[:, None]
    v = np.array([up[0], up[0], up[1], up[1]])[:, None]
    lower, upper = side[0] + (side[1] - side[0]) * u, side[3] + (side[2] - side[3]) * u
    inside: Floats = lower + (upper - lower) * v
    return inside


def upright_disc(x: float, y: float, z: float, radius: float, *, corners: int = 16) -> Floats:
    """A disc in a plane of constant y, a wheel for instance.  [corners, 3]"""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([x + radius * np.cos(angle), np.full(corners, y), z + radius * np.sin(angle)], axis=1)


def _normal_and_centre(points: Floats) -> tuple[Floats, Floats]:
    """Unit normal of a polygon, convex or not (Newell's method), and the mean of its corners.

    In plain arithmetic: for four corners that is several times faster than by array operations.
    """
    corners = points.tolist()
    nx = ny = nz = sx = sy = sz = 0.0
    x0, y0, z0 = corners[-1]
    for x1, y1, z1 in corners:
        nx += (y0 - y1) * (z0 + z1)
        ny += (z0 - z1) * (x0 + x1)
        nz += (x0 - x1) * (y0 + y1)
        sx, sy, sz = sx + x1, sy + y1, sz + z1
        x0, y0, z0 = x1, y1, z1
    length = max((nx * nx + ny * ny + nz * nz) ** 0.5, 1e-12)
    return np.array([nx / length, ny / length, nz / length]), np.array([sx, sy, sz]) / len(corners)
