"""Lamps, signals and the small things that stand on pavements (and are mistaken for people)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from stages.models.world.camera import NEAR_METRES, Floats
from stages.models.world.classes import BUILDING, VEGETATION
from stages.models.world.solids import Colour, Mesh, MeshBuilder, box_sides, patch
from stages.models.world.view import View, local_axes

_IRON: Final[Colour] = (62.0, 66.0, 70.0)


@dataclass(frozen=True, slots=True, eq=False)
class Fixture:
    """A mesh that stays where it is."""

    mesh: Mesh
    place: Floats  # [3]
    heading: float
    index: int = BUILDING

    def footprint(self) -> Floats:
        """Counter-clockwise.  [4, 2]"""
        turn = local_axes(self.heading)[:2, :2]
        footprint: Floats = self.mesh.footprint @ turn + self.place[:2]
        return footprint

    def paint(self, view: View) -> None:
        if view.to_camera(self.place[None])[0, 2] > 1.0:
            view.mesh(self.mesh, self.place, self.heading, self.index)


@dataclass(frozen=True, slots=True, eq=False)
class Lamp:
    """A street lamp; its head hangs over the carriageway."""

    place: Floats  # [3] foot
    head: Floats  # [3]
    globe: bool
    on: bool

    def footprint(self) -> Floats:
        """[4, 2]"""
        half = 0.12
        footprint: Floats = self.place[:2] + np.array([(half, -half), (half, half), (-half, half), (-half, -half)])
        return footprint

    def paint(self, view: View) -> None:
        elbow = self.place + np.array([0.0, 0.0, self.head[2] + 0.15])
        points = view.to_camera(np.stack([self.place, elbow, self.head]))
        if points[:, 2].min() < 2 * NEAR_METRES:
            return
        foot, bend, head = view.camera.to_pixels(points)
        depth = float(points[0, 2])
        scale = view.camera.focal / depth
        lit = view.lit(np.array(_IRON), np.array([0.0, 0.0, 0.2]), self.place)
        iron = view.veiled(lit, depth).tolist()
        view.canvas.bar(np.stack([foot, bend]), max(0.13 * scale, 0.7), iron, BUILDING)
        view.canvas.bar(np.stack([bend, head]), max(0.08 * scale, 0.6), iron, BUILDING)
        glass = np.array([255.0, 226.0, 170.0]) if self.on else np.array([186.0, 188.0, 186.0])
        around = _GLOBE if self.globe else _FLAT_HEAD
        view.canvas.polygon(head + around * scale, view.veiled(glass / view.climate.exposure, depth).tolist(), BUILDING)


_TURN = np.linspace(0, 2 * np.pi, 10, endpoint=False)
_GLOBE: Final = 0.22 * np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)
_FLAT_HEAD: Final = np.array([(-0.30, -0.07), (0.30, -0.07), (0.24, 0.07), (-0.24, 0.07)])


def lamp(spot: Floats, heading: float, *, globe: bool, on: bool) -> Lamp:
    """A lamp at a spot [2] whose arm reaches towards `heading`."""
    reach, tall = (0.0, 4.2) if globe else (1.6, 6.4)
    ahead = reach * np.array([np.sin(heading), np.cos(heading)])
    return Lamp(np.array([*spot, 0.0]), np.array([*(spot + ahead), tall]), globe, on)


_SIGNAL_COLOURS: Final[tuple[Colour, ...]] = ((226.0, 40.0, 34.0), (236.0, 172.0, 40.0), (52.0, 214.0, 110.0))


@dataclass(frozen=True, slots=True, eq=False)
class TrafficLight:
    """A traffic light for whoever comes towards its front."""

    place: Floats  # [3]
    heading: float
    group: int

    def footprint(self) -> Floats:
        half = 0.12
        footprint: Floats = self.place[:2] + np.array([(half, -half), (half, half), (-half, half), (-half, -half)])
        return footprint

    def paint(self, view: View, *, green: bool) -> None:
        if view.to_camera(self.place[None])[0, 2] > 1.0:
            view.mesh(_LIGHTS[green], self.place, self.heading, BUILDING)


def _traffic_light(*, green: bool) -> Mesh:
    build = MeshBuilder()
    build.box((-0.05, -0.05, 0.0), (0.05, 0.05, 2.4), _IRON)
    low, high = np.array([-0.14, -0.17, 2.3]), np.array([0.14, 0.17, 3.3])
    build.solid((0.0, 0.0, 2.8), level=1)
    for name, side in box_sides(low, high).items():
        build.face(side, (30.0, 31.0, 33.0))
        if name == "front":
            for lamp_index, bottom in enumerate((0.68, 0.37, 0.06)):
                on = lamp_index == (2 if green else 0)
                dim = 1.0 if on else 0.22
                red, green_, blue = (channel * dim for channel in _SIGNAL_COLOURS[lamp_index])
                build.detail(patch(side, (0.18, 0.82), (bottom, bottom + 0.26)), (red, green_, blue), glow=float(on))
    return build.build()


_LIGHTS: Final = {green: _traffic_light(green=green) for green in (False, True)}


def _bin(build: MeshBuilder, colour: Colour) -> None:
    build.box((-0.26, -0.26, 0.0), (0.26, 0.26, 0.95), (58.0, 74.0, 62.0))
    build.box((-0.29, -0.29, 0.95), (0.29, 0.29, 1.05), (44.0, 46.0, 48.0), level=1)


def _letter_box(build: MeshBuilder, colour: Colour) -> None:
    build.box((-0.24, -0.28, 0.35), (0.24, 0.28, 1.25), colour)
    build.box((-0.1, -0.1, 0.0), (0.1, 0.1, 0.35), _IRON, level=-1)


def _bench(build: MeshBuilder, colour: Colour) -> None:
    for y in (-0.7, 0.7):
        build.box((-0.22, y - 0.04, 0.0), (0.22, y + 0.04, 0.42), _IRON, level=-1)
    build.box((-0.25, -0.9, 0.42), (0.25, 0.9, 0.50), (134.0, 98.0, 66.0))
    build.box((-0.28, -0.9, 0.58), (-0.22, 0.9, 0.92), (126.0, 90.0, 60.0), level=1)


def _sign(build: MeshBuilder, colour: Colour) -> None:
    build.box((-0.04, -0.04, 0.0), (0.04, 0.04, 2.2), (140.0, 142.0, 144.0))
    build.box((-0.03, -0.32, 2.0), (0.03, 0.32, 2.64), colour, level=1)


def _cabinet(build: MeshBuilder, colour: Colour) -> None:
    build.box((-0.22, -0.55, 0.0), (0.22, 0.55, 1.25), (146.0, 150.0, 142.0))


def _kiosk(build: MeshBuilder, colour: Colour) -> None:
    build.box((-0.8, -1.0, 0.0), (0.8, 1.0, 2.3), colour)
    side = box_sides(np.array([-0.8, -1.0, 0.0]), np.array([0.8, 1.0, 2.3]))["front"]
    build.face(side, colour)
    build.detail(patch(side, (0.1, 0.9), (0.45, 0.85)), (70.0, 74.0, 78.0))
    build.box((-1.0, -1.15, 2.3), (1.05, 1.15, 2.5), (76.0, 78.0, 84.0), level=1)


def _bollard(build: MeshBuilder, colour: Colour) -> None:
    build.box((-0.09, -0.09, 0.0), (0.09, 0.09, 0.95), (72.0, 74.0, 78.0))
    build.box((-0.095, -0.095, 0.75), (0.095, 0.095, 0.85), (226.0, 222.0, 210.0), level=1)


def _column(build: MeshBuilder, colour: Colour) -> None:
    turn = np.linspace(0, 2 * np.pi, 11)
    ring = 0.55 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    build.solid((0.0, 0.0, 1.4))
    for (x0, y0), (x1, y1) in pairwise(ring):
        build.face(np.array([(x0, y0, 0.0), (x1, y1, 0.0), (x1, y1, 2.8), (x0, y0, 2.8)]), (96.0, 104.0, 98.0))
        build.detail(np.array([(x0, y0, 0.6), (x1, y1, 0.6), (x1, y1, 2.4), (x0, y0, 2.4)]), colour)
    build.face(np.array([(x, y, 2.8) for x, y in ring[:-1]]), (70.0, 78.0, 74.0))


FURNITURE: Final[dict[str, Callable[[MeshBuilder, Colour], None]]] = {
    "bin": _bin,
    "letter_box": _letter_box,
    "bench": _bench,
    "sign": _sign,
    "cabinet": _cabinet,
    "kiosk": _kiosk,
    "bollard": _bollard,
    "column": _column,
}


def furniture(family: str, colour: Colour, spot: Floats, heading: float) -> Fixture:
    """One piece at a spot [2]."""
    build = MeshBuilder()
    FURNITURE[family](build, colour)
    return Fixture(build.build(), np.array([*spot, 0.0]), heading)


def hedge(colour: Colour, spot: Floats, heading: float, length: float, tall: float) -> Fixture:
    """A clipped hedge along a garden."""
    build = MeshBuilder()
    build.box((-0.45, -length / 2, 0.0), (0.45, length / 2, tall), colour)
    return Fixture(build.build(), np.array([*spot, 0.0]), heading, VEGETATION)
