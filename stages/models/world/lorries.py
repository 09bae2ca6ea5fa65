"""Buses and trucks: boxes with what tells them apart, rows of windows and doors here, a cab and a load there."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from stages.models.world.camera import Floats
from stages.models.world.cars import GLASS, GLASS_SHEEN, HEAD_LIGHT, PLATE, TAIL_LIGHT, TRIM, underside, wheel
from stages.models.world.solids import Colour, Mesh, MeshBuilder, box_sides, patch

_SIGN: Final[Colour] = (240.0, 168.0, 44.0)


@dataclass(frozen=True, slots=True)
class _BusShape:
    length: float
    width: float
    height: float
    belt: float  # lower edge of the windows, as a share of the height
    windows: int
    doors: tuple[float, ...]  # middles, as a share of the length from the rear
    wheel: float


_BUSES: Final[dict[str, _BusShape]] = {
    "city_bus": _BusShape(11.0, 2.5, 3.05, 0.42, 7, (0.93, 0.50), 0.48),
    "coach": _BusShape(11.8, 2.5, 3.45, 0.52, 6, (0.94,), 0.50),
    "low_floor": _BusShape(11.4, 2.5, 2.95, 0.34, 6, (0.92, 0.62, 0.30), 0.46),
    "midi": _BusShape(8.2, 2.35, 2.95, 0.43, 5, (0.92,), 0.43),
}
_FLOOR_METRES = 0.30


def bus(family: str, paint: Colour, stripe: Colour, *, lamps: bool) -> Mesh:
    """A bus of a family of the catalogue in two colours; lit inside when the lamps are on."""
    shape = _BUSES[family]
    half, side_half = shape.length / 2, shape.width / 2
    build = MeshBuilder()
    underside(build, _bus_axles(shape), side_half, shape.wheel)
    build.solid((0.0, 0.0, shape.height / 2))
    sides = box_sides(np.array([-half, -side_half, _FLOOR_METRES]), np.array([half, side_half, shape.height]))
    glass: Colour = (186.0, 176.0, 138.0) if lamps else GLASS
    build.face(sides["top"], _tint(paint, 1.06))
    build.detail(_lifted(sides["top"], (0.2, 0.45), (0.25, 0.75)), _tint(paint, 0.85), finest=40)
    _bus_front(build, sides["front"], paint, lamps=lamps)
    _bus_back(build, sides["back"], paint, glass, lamps=lamps)
    for name in ("right", "left"):
        _bus_flank(build, sides[name], shape, paint, stripe, glass, doors=name == "right", lit=lamps)
    return build.build()


def _bus_axles(shape: _BusShape) -> tuple[float, float]:
    return 2.7 - 0.5 * shape.length, 0.5 * shape.length - 2.6


def _bus_front(build: MeshBuilder, side: Floats, paint: Colour, *, lamps: bool) -> None:
    build.face(side, paint)
    build.detail(patch(side, (0.05, 0.95), (0.30, 0.80)), GLASS)
    build.detail(patch(side, (0.10, 0.36), (0.42, 0.78)), GLASS_SHEEN, finest=34)
    build.detail(patch(side, (0.12, 0.88), (0.84, 0.95)), (22.0, 22.0, 24.0))
    build.detail(patch(side, (0.20, 0.74), (0.865, 0.925)), _SIGN, glow=0.8, finest=24)
    for across in ((0.05, 0.20), (0.80, 0.95)):
        build.detail(patch(side, across, (0.09, 0.17)), HEAD_LIGHT, glow=1.0 if lamps else 0.25)
    build.detail(patch(side, (0.0, 1.0), (0.0, 0.06)), TRIM)
    build.detail(patch(side, (0.40, 0.60), (0.03, 0.08)), PLATE, finest=34)


def _bus_back(build: MeshBuilder, side: Floats, paint: Colour, glass: Colour, *, lamps: bool) -> None:
    build.face(side, paint)
    build.detail(patch(side, (0.12, 0.88), (0.55, 0.84)), glass, glow=0.5 if lamps else 0.0)
    build.detail(patch(side, (0.18, 0.82), (0.14, 0.40)), _tint(paint, 0.7), finest=24)
    for across in ((0.03, 0.12), (0.88, 0.97)):
        build.detail(patch(side, across, (0.14, 0.44)), TAIL_LIGHT, glow=0.8 if lamps else 0.1)
    build.detail(patch(side, (0.40, 0.60), (0.05, 0.10)), PLATE, finest=34)


def _bus_flank(
    build: MeshBuilder, side: Floats, shape: _BusShape, paint: Colour, stripe: Colour, glass: Colour, *, doors: bool,
    lit: bool,
) -> None:  # fmt: skip
    build.face(side, paint)
    build.detail(patch(side, (0.0, 1.0), (0.0, 0.16)), stripe)
    build.detail(patch(side, (0.02, 0.98), (shape.belt - 0.02, 0.86)), (30.0, 32.0, 36.0))
    edges = np.linspace(0.03, 0.97, shape.windows + 1)
    for left, right in pairwise(edges):
        build.detail(
            patch(side, (left + 0.006, right - 0.006), (shape.belt, 0.83)), glass, glow=0.5 if lit else 0.0, finest=14
        )
        if not lit:
            build.detail(patch(side, (left + 0.02, left + 0.05), (shape.belt + 0.04, 0.80)), GLASS_SHEEN, finest=50)
    for middle in shape.doors if doors else ():
        half = 0.62 / shape.length
        build.detail(patch(side, (middle - half, middle + half), (0.0, 0.84)), (24.0, 26.0, 30.0))
        for left in (middle - half * 0.88, middle + half * 0.08):
            build.detail(patch(side, (left, left + half * 0.8), (0.04, 0.80)), glass, glow=0.5 if lit else 0.0)
    y = float(side[0, 1])
    for x in _bus_axles(shape):
        wheel(build, x, y, shape.wheel, arch=0.07)


@dataclass(frozen=True, slots=True)
class _TruckShape:
    length: float
    cab: float  # length of the cab
    width: float
    cab_height: float
    load_height: float
    axles: tuple[float, ...]  # from the front
    wheel: float


_TRUCKS: Final[dict[str, _TruckShape]] = {
    "box": _TruckShape(7.4, 1.9, 2.4, 2.55, 3.35, (1.2, 5.8), 0.45),
    "tipper": _TruckShape(7.0, 2.0, 2.45, 2.85, 2.55, (1.3, 4.8, 6.0), 0.50),
    "flatbed": _TruckShape(7.6, 1.9, 2.4, 2.60, 1.75, (1.2, 5.9), 0.45),
    "tanker": _TruckShape(8.4, 2.0, 2.45, 2.85, 3.00, (1.3, 5.8, 7.0), 0.50),
    "container": _TruckShape(10.6, 2.2, 2.5, 3.20, 3.75, (1.4, 4.0, 8.4, 9.6), 0.50),
}
_DECK_METRES = 1.05


def truck(family: str, paint: Colour, load: Colour, *, lamps: bool) -> Mesh:
    """A truck of a family of the catalogue: its cab in one colour, its load in another."""
    shape = _TRUCKS[family]
    build = MeshBuilder()
    half, front = shape.width / 2, shape.length / 2
    cab_back, load_front = front - shape.cab, front - shape.cab - 0.25
    build.box((-front + 0.1, -half + 0.1, 0.55), (cab_back, half - 0.1, _DECK_METRES), (52.0, 53.0, 56.0), level=-1)
    underside(build, sorted(front - along for along in shape.axles), half, shape.wheel)
    _axles(build, shape)
    _rear_lights(build, shape, lamps=lamps)
    _LOADS[family](build, (-front, load_front), half, shape.load_height, load)
    _cab(build, shape, paint, lamps=lamps)
    return build.build()


def _axles(build: MeshBuilder, shape: _TruckShape) -> None:
    for y in (-shape.width / 2 + 0.02, shape.width / 2 - 0.02):
        build.solid((0.0, 0.0, 0.6), level=-0.5)
        plane = [(-shape.length / 2 + 0.3, 0.62), (0.0, 0.62), (0.0, 0.85), (-shape.length / 2 + 0.3, 0.85)]
        build.face(np.array([(x, y, z) for x, z in plane]), (70.0, 71.0, 74.0))
        for along in shape.axles[1:]:
            wheel(build, shape.length / 2 - along, y, shape.wheel, arch=0.0)


def _rear_lights(build: MeshBuilder, shape: _TruckShape, *, lamps: bool) -> None:
    rear, half = -shape.length / 2 + 0.08, shape.width / 2
    build.solid((0.0, 0.0, 0.8), level=-0.5)
    side = np.array([(rear, -half, 0.5), (rear, half, 0.5), (rear, half, _DECK_METRES), (rear, -half, _DECK_METRES)])
    build.face(side, (44.0, 45.0, 48.0))
    for across in ((0.02, 0.16), (0.84, 0.98)):
        build.detail(patch(side, across, (0.40, 0.75)), TAIL_LIGHT, glow=0.8 if lamps else 0.1)
    build.detail(patch(side, (0.40, 0.60), (0.25, 0.55)), PLATE, finest=30)


def _cab(build: MeshBuilder, shape: _TruckShape, paint: Colour, *, lamps: bool) -> None:
    front, half, top = shape.length / 2, shape.width / 2, shape.cab_height
    back = front - shape.cab
    profile = [(back, 0.45), (back, top), (front - 0.35, top), (front, 0.55 * top), (front, 0.45)]
    build.solid(((front + back) / 2, 0.0, top / 2))
    for (x0, z0), (x1, z1) in pairwise(profile[:4]):
        build.face(np.array([(x0, -half, z0), (x0, half, z0), (x1, half, z1), (x1, -half, z1)]), paint)
    screen = np.array([(front, -half, 0.55 * top), (front, half, 0.55 * top), (front - 0.35, half, top),
                       (front - 0.35, -half, top)])  # fmt: skip
    build.detail(patch(screen, (0.06, 0.94), (0.04, 0.84)), GLASS)
    build.detail(patch(screen, (0.10, 0.38), (0.16, 0.80)), GLASS_SHEEN, finest=34)
    nose = np.array([(front, -half, 0.45), (front, half, 0.45), (front, half, 0.55 * top), (front, -half, 0.55 * top)])
    build.face(nose, paint)
    build.detail(patch(nose, (0.18, 0.82), (0.38, 0.86)), TRIM)
    build.detail(patch(nose, (0.0, 1.0), (0.0, 0.30)), (60.0, 62.0, 66.0))
    for across in ((0.04, 0.20), (0.80, 0.96)):
        build.detail(patch(nose, across, (0.08, 0.27)), HEAD_LIGHT, glow=1.0 if lamps else 0.25)
    for y in (-half, half):
        build.face(np.array([(x, y, z) for x, z in profile]), paint)
        window = [(back + 0.5, 0.56), (front - 0.12, 0.56), (front - 0.42, 0.92), (back + 0.5, 0.92)]
        build.detail(np.array([(x, y, z * top) for x, z in window]), GLASS)
        build.detail(np.array([(back + 0.35, y, 0.6), (back + 0.38, y, 0.6), (back + 0.38, y, 0.9 * top),
                               (back + 0.35, y, 0.9 * top)]), _tint(paint, 0.7), finest=34)  # fmt: skip
        wheel(build, front - shape.axles[0], y, shape.wheel, arch=0.08)


def _box_load(build: MeshBuilder, span: tuple[float, float], half: float, top: float, colour: Colour) -> None:
    build.box((span[0], -half, _DECK_METRES), (span[1], half, top), colour)
    back = box_sides(np.array([span[0], -half, _DECK_METRES]), np.array([span[1], half, top]))["back"]
    build.face(back, _tint(colour, 0.96))
    build.detail(patch(back, (0.495, 0.505), (0.02, 0.98)), _tint(colour, 0.6), finest=20)
    for across in ((0.2, 0.22), (0.78, 0.80)):
        build.detail(patch(back, across, (0.02, 0.98)), _tint(colour, 0.75), finest=34)


def _container_load(build: MeshBuilder, span: tuple[float, float], half: float, top: float, colour: Colour) -> None:
    _box_load(build, span, half, top, colour)
    sides = box_sides(np.array([span[0], -half, _DECK_METRES]), np.array([span[1], half, top]))
    for name in ("left", "right"):
        build.face(sides[name], colour)
        for left in np.linspace(0.02, 0.96, 18):
            build.detail(patch(sides[name], (left, left + 0.018), (0.06, 0.94)), _tint(colour, 0.8), finest=30)


def _tipper_load(build: MeshBuilder, span: tuple[float, float], half: float, top: float, colour: Colour) -> None:
    build.box((span[0], -half, _DECK_METRES), (span[1], half, top), colour)
    sides = box_sides(np.array([span[0], -half, _DECK_METRES]), np.array([span[1], half, top]))
    for name in ("left", "right"):
        build.face(sides[name], colour)
        for left in np.linspace(0.02, 0.94, 6):
            build.detail(patch(sides[name], (left, left + 0.03), (0.0, 1.0)), _tint(colour, 0.78), finest=24)
    build.face(sides["top"], (104.0, 88.0, 70.0))  # the heap of earth
    build.detail(patch(sides["top"], (0.2, 0.7), (0.25, 0.8)), (126.0, 108.0, 86.0), finest=24)


def _flat_load(build: MeshBuilder, span: tuple[float, float], half: float, top: float, colour: Colour) -> None:
    build.box((span[0], -half, _DECK_METRES - 0.1), (span[1], half, _DECK_METRES + 0.25), colour)
    length = span[1] - span[0]
    middle = span[0] + 0.55 * length
    on = _DECK_METRES + 0.25
    build.box((span[0] + 0.3, -0.8 * half, on), (middle, 0.8 * half, top), (166.0, 138.0, 96.0), level=1)
    build.box((middle + 0.3, -0.7 * half, on), (span[1] - 0.2, 0.7 * half, top - 0.2), (128.0, 116.0, 104.0), level=1)


def _tank_load(build: MeshBuilder, span: tuple[float, float], half: float, top: float, colour: Colour) -> None:
    middle, radius = (_DECK_METRES + top) / 2, (top - _DECK_METRES) / 2
    angle = np.linspace(0, 2 * np.pi, 13)
    ring = np.stack([half * np.cos(angle), middle + radius * np.sin(angle)], axis=1)
    build.solid(((span[0] + span[1]) / 2, 0.0, middle))
    for (y0, z0), (y1, z1) in pairwise(ring):
        build.face(np.array([(span[0], y0, z0), (span[1], y0, z0), (span[1], y1, z1), (span[0], y1, z1)]), colour)
    for x in span:
        build.face(np.array([(x, y, z) for y, z in ring[:-1]]), _tint(colour, 0.9))


_LOADS: Final = {
    "box": _box_load,
    "tipper": _tipper_load,
    "flatbed": _flat_load,
    "tanker": _tank_load,
    "container": _container_load,
}


def _lifted(side: Floats, across: tuple[float, float], up: tuple[float, float]) -> Floats:
    lifted: Floats = patch(side, across, up) + np.array([0.0, 0.0, 0.02])
    return lifted


def _tint(colour: Colour, gain: float) -> Colour:
    red, green, blue = (min(255.0, channel * gain) for channel in colour)
    return red, green, blue
