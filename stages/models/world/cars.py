"""Cars: a lower body with bonnet and boot, and a glazed cabin that is narrower towards the roof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from stages.models.world.camera import Floats
from stages.models.world.solids import Colour, Mesh, MeshBuilder, patch, upright_disc

TYRE: Final[Colour] = (24.0, 24.0, 26.0)
GLASS: Final[Colour] = (46.0, 58.0, 70.0)
GLASS_SHEEN: Final[Colour] = (104.0, 122.0, 138.0)
RIM: Final[Colour] = (150.0, 153.0, 158.0)
TRIM: Final[Colour] = (40.0, 41.0, 44.0)
TAIL_LIGHT: Final[Colour] = (190.0, 24.0, 22.0)
HEAD_LIGHT: Final[Colour] = (236.0, 236.0, 226.0)
PLATE: Final[Colour] = (230.0, 228.0, 214.0)


@dataclass(frozen=True, slots=True)
class _CarShape:
    """Metres; lengths along the car count from its front."""

    length: float
    width: float
    height: float
    bonnet: float  # where the windscreen begins
    roof: tuple[float, float]  # where the roof begins and ends
    boot: float  # where the rear window ends
    belt: float  # height of the lower edge of the windows
    nose: float  # height of the bonnet's front edge
    tail: float  # height of the boot's rear edge
    wheel: float  # radius
    windows: int  # on a side


_SHAPES: Final[dict[str, _CarShape]] = {
    "saloon": _CarShape(4.6, 1.82, 1.44, 1.25, (2.05, 3.25), 3.95, 0.94, 0.70, 0.92, 0.33, 2),
    "hatchback": _CarShape(4.0, 1.76, 1.47, 1.05, (1.85, 3.45), 3.92, 0.95, 0.70, 0.95, 0.32, 2),
    "estate": _CarShape(4.7, 1.82, 1.48, 1.25, (2.05, 4.30), 4.64, 0.94, 0.70, 0.94, 0.33, 3),
    "suv": _CarShape(4.5, 1.88, 1.72, 1.15, (1.90, 4.00), 4.42, 1.10, 0.88, 1.08, 0.38, 3),
    "city": _CarShape(3.5, 1.64, 1.50, 0.80, (1.55, 3.05), 3.44, 0.95, 0.74, 0.95, 0.29, 2),
    "coupe": _CarShape(4.4, 1.84, 1.34, 1.45, (2.25, 2.95), 3.95, 0.90, 0.64, 0.92, 0.34, 1),
    "people_carrier": _CarShape(4.5, 1.84, 1.70, 0.85, (1.80, 4.10), 4.46, 1.02, 0.80, 1.00, 0.33, 3),
    "crossover": _CarShape(4.3, 1.83, 1.58, 1.10, (1.90, 3.50), 4.22, 1.04, 0.80, 1.02, 0.36, 2),
}

_SILL_METRES = 0.24


def car(family: str, paint: Colour, rng: np.random.Generator, *, lamps: bool) -> Mesh:
    """A car of a family of the catalogue, a little longer, wider or taller than the next; lamps lit or not."""
    shape = _SHAPES[family]
    build = MeshBuilder()
    axle = 0.5 * shape.length - 0.19 * shape.length
    underside(build, (-axle, axle), shape.width / 2, shape.wheel)
    _lower_body(build, shape, paint, lamps=lamps)
    _cabin(build, shape, paint, roof_rails=bool(rng.random() < 0.3))
    return build.build()


def _lower_body(build: MeshBuilder, shape: _CarShape, paint: Colour, *, lamps: bool) -> None:
    front, rear, half = shape.length / 2, -shape.length / 2, shape.width / 2
    cowl, boot = front - shape.bonnet, front - shape.boot
    profile = np.array([
        (rear, _SILL_METRES + 0.06), (rear, shape.tail - 0.08), (rear + 0.10, shape.tail), (boot, shape.belt),
        (cowl, shape.belt), (front - 0.22, shape.nose), (front, shape.nose - 0.14), (front, _SILL_METRES + 0.04),
    ])  # fmt: skip
    build.solid((0.0, 0.0, 0.55))
    deck = [(boot, cowl, shape.belt)]
    for (x0, z0), (x1, z1) in pairwise(profile):
        if (x0, x1, z0) not in deck:
            build.face(np.array([(x0, -half, z0), (x0, half, z0), (x1, half, z1), (x1, -half, z1)]), paint)
    _ends(build, shape, lamps=lamps)
    for y in (-half, half):
        build.face(np.array([(x, y, z) for x, z in profile]), paint)
        _flank(build, shape, y, paint)


def _ends(build: MeshBuilder, shape: _CarShape, *, lamps: bool) -> None:
    front, half = shape.length / 2, shape.width / 2
    low, top = _SILL_METRES + 0.05, shape.nose - 0.14
    for x, upper in ((front, top), (-front, shape.tail - 0.08)):
        side = np.array([(x, -half, low), (x, half, low), (x, half, upper), (x, -half, upper)])
        build.face(side, TRIM)  # the bumper's lower edge; the panel above it in body colour is the detail below
        ahead = x > 0
        light, glow = (HEAD_LIGHT, 1.0 if lamps else 0.25) if ahead else (TAIL_LIGHT, 0.8 if lamps else 0.1)
        if ahead:
            build.detail(patch(side, (0.22, 0.78), (0.45, 0.85)), (58.0, 60.0, 64.0))
        build.detail(patch(side, (0.36, 0.64), (0.12, 0.36) if ahead else (0.30, 0.52)), PLATE, finest=14)
        bottom = 0.55 if ahead else 0.58
        for across in ((0.03, 0.24), (0.76, 0.97)):
            build.detail(patch(side, across, (bottom, 0.98)), light, glow=glow)


def _flank(build: MeshBuilder, shape: _CarShape, y: float, paint: Colour) -> None:
    front = shape.length / 2
    axles = (front - 0.19 * shape.length, -front + 0.19 * shape.length)
    sill = np.array([(-front + 0.1, y, _SILL_METRES - 0.02), (front - 0.1, y, _SILL_METRES - 0.02),
                     (front - 0.1, y, _SILL_METRES + 0.12), (-front + 0.1, y, _SILL_METRES + 0.12)])  # fmt: skip
    build.detail(sill, TRIM)
    shade = tuple(0.72 * channel for channel in paint)
    for x in (front - shape.bonnet - 0.25, front - 0.5 * (shape.bonnet + shape.boot) - 0.1):
        seam = np.array([(x, y, 0.36), (x + 0.03, y, 0.36), (x + 0.03, y, shape.belt), (x, y, shape.belt)])
        build.detail(seam, (shade[0], shade[1], shade[2]), finest=34)
        handle = np.array([(x - 0.30, y, shape.belt - 0.16), (x - 0.12, y, shape.belt - 0.16),
                           (x - 0.12, y, shape.belt - 0.12), (x - 0.30, y, shape.belt - 0.12)])  # fmt: skip
        build.detail(handle, TRIM, finest=45)
    for x in axles:
        wheel(build, x, y, shape.wheel, arch=0.05)


def underside(build: MeshBuilder, axles: Sequence[float], half: float, radius: float) -> None:
    """What is seen below a vehicle's floor: darkness, and the tyres end on."""
    build.box((axles[0], -half + 0.15, 0.12), (axles[-1], half - 0.15, 0.34), (20.0, 20.0, 22.0), level=-2)
    for x in axles:
        for y in (-half + 0.12, half - 0.12):
            low, high = (x - 0.6 * radius, y - 0.1, 0.0), (x + 0.6 * radius, y + 0.1, radius)
            build.box(low, high, TYRE, level=-2)


def wheel(build: MeshBuilder, x: float, y: float, radius: float, *, arch: float) -> None:
    """A wheel as a detail of the flank drawn last, with the dark arch around its upper half."""
    if arch:
        around = upright_disc(x, y, radius, radius + arch)
        build.detail(around[around[:, 2] > 0.5 * radius], (18.0, 18.0, 20.0), finest=12)
    build.detail(upright_disc(x, y, radius, radius), TYRE)
    build.detail(upright_disc(x, y, radius, 0.64 * radius, corners=12), RIM, finest=10)
    build.detail(upright_disc(x, y, radius, 0.46 * radius, corners=10), (88.0, 90.0, 95.0), finest=26)
    build.detail(upright_disc(x, y, radius, 0.16 * radius, corners=8), RIM, finest=34)


def _cabin(build: MeshBuilder, shape: _CarShape, paint: Colour, *, roof_rails: bool) -> None:
    front, low, top = shape.length / 2, 0.48 * shape.width, 0.37 * shape.width
    x = [front - along for along in (shape.bonnet, shape.roof[0], shape.roof[1], shape.boot)]
    belt, height = shape.belt, shape.height
    build.solid(((x[0] + x[3]) / 2, 0.0, belt + 0.2), level=1)
    outline = ((x[0], low, belt), (x[1], top, height), (x[2], top, height), (x[3], low, belt))
    corner = {side: [(along, side * aside, up) for along, aside, up in outline] for side in (-1, 1)}
    right, left = corner[-1], corner[1]
    screen = np.array([right[0], left[0], left[1], right[1]])
    build.face(screen, paint)
    build.detail(patch(screen, (0.05, 0.95), (0.02, 0.95)), GLASS)
    build.detail(patch(screen, (0.10, 0.42), (0.30, 0.92)), GLASS_SHEEN, finest=30)
    back = np.array([right[3], left[3], left[2], right[2]])
    build.face(back, paint)
    build.detail(patch(back, (0.08, 0.92), (0.14, 0.92)), GLASS)
    build.face(np.array([right[1], left[1], left[2], right[2]]), paint)
    for y in (-1, 1):
        side = np.array([corner[y][3], corner[y][0], corner[y][1], corner[y][2]])
        build.face(side, paint)
        _side_windows(build, side, shape)
        if roof_rails:
            build.detail(patch(side, (0.0, 1.0), (0.94, 1.0)), TRIM, finest=20)


def _side_windows(build: MeshBuilder, side: Floats, shape: _CarShape) -> None:
    edges = np.linspace(0.05, 0.95, shape.windows + 1)
    for left, right in pairwise(edges):
        build.detail(patch(side, (left + 0.012, right - 0.012), (0.06, 0.86)), GLASS)
    build.detail(patch(side, (0.62, 0.74), (0.12, 0.80)), GLASS_SHEEN, finest=40)
