"""Where the camera is put, and how it moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from stages.models.world.camera import Camera, Floats
from stages.models.world.catalogue import Catalogue
from stages.models.world.layout import Layout, Plot, plot_corners

Movement = Literal["fixed", "pan", "drive", "shake"]
_CLEAR_METRES = 3.0  # between the camera and anything built


@dataclass(frozen=True, slots=True, eq=False)
class Viewpoint:
    """A camera whose place at any time follows from the time alone."""

    position: Floats  # [3] at time 0
    yaw: float
    pitch: float
    roll: float
    focal: float
    movement: Movement
    velocity: Floats  # [2] metres a second
    swing: Floats  # [3] amplitudes of yaw, pitch and roll, radians
    rate: Floats  # [3] their angular rates, radians a second
    phase: Floats  # [3]
    focus: Floats  # [2] what it looks at, at time 0

    def at(self, seconds: float, *, width: int, height: int) -> Camera:
        swing = self.swing * np.sin(self.rate * seconds + self.phase)
        moved = self.position + np.array([*(self.velocity * seconds), 0.0])
        yaw, pitch, roll = self.yaw + swing[0], self.pitch + swing[1], self.roll + swing[2]
        return Camera(moved, float(yaw), float(pitch), float(roll), self.focal * width, width, height)


def draw_viewpoint(
    rng: np.random.Generator, catalogue: Catalogue, layout: Layout, *, moving: bool | None, band: str | None = None
) -> Viewpoint:
    """A camera of the catalogue, looking along, across or into the corner of the layout; focal lengths per width."""
    choices = [each for each in catalogue.cameras if band in (None, each.name)]
    chosen = choices[rng.integers(len(choices))]
    movement = _movement(rng, moving)
    main = layout.roads[0]
    focus, bearing = _aim(rng, layout, along=movement == "drive")
    distance, height = rng.uniform(*chosen.focus_metres), rng.uniform(*chosen.height_metres)
    ground = focus - distance * np.array([np.sin(bearing), np.cos(bearing)])
    if movement == "drive" or chosen.height_metres[1] < 2.5:
        ground = _beside_traffic(main.points(np.array([0.0]), 0.0)[0], ground, main.half_width, main.reach)
        bearing = float(np.arctan2(*(focus - ground)))
    pitch = np.arctan2(height - rng.uniform(0.3, 1.6), distance) + rng.normal(0, 0.015)
    focal = 0.5 / np.tan(np.radians(rng.uniform(*chosen.field_of_view_degrees)) / 2)
    swing, rate = _swing(rng, movement)
    speed = rng.uniform(0.6, 2.2) if movement == "drive" else 0.0
    return Viewpoint(
        np.array([*ground, height]), bearing, float(pitch), float(rng.normal(0, 0.012)), float(focal), movement,
        speed * np.array([np.sin(main.heading), np.cos(main.heading)]), swing, rate, rng.uniform(0, 6.28, 3), focus,
    )  # fmt: skip


def _movement(rng: np.random.Generator, moving: bool | None) -> Movement:
    if moving is None:
        moving = bool(rng.random() < 0.35)
    if not moving:
        return "fixed"
    movements: tuple[Movement, ...] = ("pan", "drive", "shake")
    return movements[rng.choice(3, p=(0.35, 0.3, 0.35))]


def _swing(rng: np.random.Generator, movement: Movement) -> tuple[Floats, Floats]:
    if movement == "pan":
        return np.array([rng.uniform(0.12, 0.32), 0.01, 0.0]), np.array([rng.uniform(0.2, 0.45), 0.3, 0.0])
    if movement == "fixed":
        return np.zeros(3), np.zeros(3)
    size = rng.uniform(0.002, 0.007)
    return np.array([size, size, 0.6 * size]), rng.uniform(5.0, 13.0, 3)


def _aim(rng: np.random.Generator, layout: Layout, *, along: bool) -> tuple[Floats, float]:
    """What is looked at, and from which side (the bearing of the view)."""
    road = layout.roads[int(rng.integers(len(layout.roads)))]
    style = rng.choice(("along", "oblique", "across"), p=(0.38, 0.40, 0.22))
    if along:
        road, style = layout.roads[0], "along"
    position = rng.uniform(-4.0, 4.0)
    aside = rng.uniform(-0.7, 0.7) * road.half_width
    bearings = {"along": rng.normal(0, 0.12), "oblique": rng.uniform(0.4, 1.0), "across": rng.uniform(1.15, 1.57)}
    bearing = float(bearings[str(style)]) * float(rng.choice((-1, 1)))
    if len(layout.roads) == 1 and not along and rng.random() < 0.5:
        bearing += np.pi
    return road.points(np.array([position]), aside)[0], road.heading_at(position) + bearing


def _beside_traffic(middle: Floats, ground: Floats, half_width: float, reach: float) -> Floats:
    """Moves a low or driving camera off the carriageway of the main road (which leads north) onto its pavement."""
    aside = float(ground[0] - middle[0])
    if abs(aside) > half_width + 0.3:
        return ground
    edge = half_width + 0.25 * (reach - half_width)
    return np.array([middle[0] + (edge if aside >= 0 else -edge), ground[1]])


class Clearing:
    """What must stay free in front of a camera."""

    def __init__(self, viewpoint: Viewpoint) -> None:
        self.focus = viewpoint.focus
        self._eye = viewpoint.position[:2]
        self._look = viewpoint.focus - self._eye
        self._aside = np.array([self._look[1], -self._look[0]]) * 0.45
        self._room = min(_CLEAR_METRES, 0.2 * float(np.hypot(*self._look)))
        self._drive = self._eye + np.linspace(0, 25, 10)[:, None] * viewpoint.velocity

    def refuses(self, plot: Plot, *, until: float) -> bool:
        """Whether a plot would stand on the camera or between it and the first part (`until`, 0..1) of its view."""
        if float(np.hypot(*(plot.centre - self._eye))) > 30.0 + float(np.hypot(*self._look)):
            return False
        shares = np.linspace(0.0, until, 7)[:, None, None]
        fan = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])[:, None]
        wedge = self._eye + shares * (self._look + fan * self._aside)
        spots = np.concatenate([wedge.reshape(-1, 2), self._drive])
        corners = plot_corners(plot)
        edges = np.roll(corners, -1, axis=0) - corners
        normals = np.stack([edges[:, 1], -edges[:, 0]], axis=1) / np.hypot(edges[:, 0], edges[:, 1])[:, None]
        beyond = (spots @ normals.T - (normals * corners).sum(axis=1)).max(axis=1)
        return bool((beyond < self._room).any())
