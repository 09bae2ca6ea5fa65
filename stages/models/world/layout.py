"""Where things are: roads, crossings, the routes over them, and the plots for houses, trees and lamps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.models.world.camera import Floats
from stages.models.world.roads import Road, Route, Signals
from stages.models.world.ways import ZEBRA_HALF_METRES, ways


@dataclass(frozen=True, slots=True, eq=False)
class Plot:
    """A place for a house, a tree, a lamp: a rectangle on the ground."""

    centre: Floats  # [2]
    heading: float  # its front looks this way, towards the road
    width: float  # along the road
    depth: float


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A street scene without its people, seen from above."""

    kind: str
    roads: tuple[Road, ...]
    zebras: tuple[tuple[Road, float], ...]  # road and position along it
    routes: tuple[Route, ...]
    signals: Signals
    houses: tuple[Plot, ...]
    trees: tuple[Plot, ...]
    lamps: tuple[Plot, ...]
    furniture: tuple[Plot, ...]
    corner_radius: float
    grass: bool  # whether the land beyond the pavements is green


def draw_layout(rng: np.random.Generator, kind: str, *, orderly: bool = False) -> Layout:
    """A layout of a kind of the catalogue; where people are orderly, nobody cuts a corner over the carriageway."""
    crossing = kind in ("crossing", "junction")
    main = _road(rng, kind, heading=0.0, crossing=crossing)
    side = _road(rng, kind, heading=np.pi / 2, crossing=True) if crossing else None
    roads = (main, side) if side else (main,)
    zebras = _zebras(rng, main, side)
    signals = Signals(offset_seconds=float(rng.uniform(0, 30)))
    routes = ways(main, side, zebras, orderly=orderly)
    houses, trees, lamps, furniture = [], [], [], []
    greenery = 0.8 if kind == "avenue" else rng.uniform(0.0, 0.6)
    for road in roads:
        others = [other for other in roads if other is not road]
        for way in (-1, 1):
            houses += _houses(rng, road, way, others)
            trees += _row(rng, road, way, others, inset=1.0, spacing=(7.0, 13.0), share=greenery, size=0.5)
            lamps += _row(rng, road, way, others, inset=0.5, spacing=(18.0, 24.0), share=0.9, size=0.25)
            furniture += _row(rng, road, way, others, inset=0.8, spacing=(6.0, 18.0), share=0.6, size=0.7)
    grass = bool(rng.random() < 0.45)
    return Layout(
        kind, roads, zebras, routes, signals, tuple(houses), tuple(trees), tuple(lamps), tuple(furniture),
        corner_radius=min(4.0, 0.7 * main.pavement), grass=grass,
    )  # fmt: skip


def _road(rng: np.random.Generator, kind: str, *, heading: float, crossing: bool) -> Road:
    lanes = 2 if kind == "avenue" else 1
    lane_width = float(rng.uniform(3.0, 3.4))
    cycle_strip = float(rng.uniform(1.5, 1.9))
    curvature = {"bend_right": 1.0, "bend_left": -1.0}.get(kind, 0.0) * float(rng.uniform(0.006, 0.014))
    verge = float(rng.uniform(1.2, 2.2)) if kind == "avenue" or (not crossing and rng.random() < 0.25) else 0.0
    return Road(
        np.zeros(2), heading, curvature, lanes * lane_width + cycle_strip, lanes, lane_width,
        pavement=float(rng.uniform(2.6, 4.6)), verge=verge, first=-90.0, last=110.0,
    )  # fmt: skip


def _zebras(rng: np.random.Generator, main: Road, side: Road | None) -> tuple[tuple[Road, float], ...]:
    if side is None:
        return ((main, float(rng.uniform(-4, 6))),) if rng.random() < 0.75 else ()
    gap = 2.6 + ZEBRA_HALF_METRES
    return tuple(
        (road, way * (other.half_width + gap)) for road, other in ((main, side), (side, main)) for way in (-1, 1)
    )


def _houses(rng: np.random.Generator, road: Road, way: int, others: list[Road]) -> list[Plot]:
    plots = []
    setback = rng.uniform(0.3, 5.0) if rng.random() < 0.6 else 0.3
    density = rng.choice((0.97, 0.8, 0.45))
    along = -60.0
    while along < 130.0:
        width, depth = rng.uniform(9.0, 22.0), rng.uniform(8.0, 13.0)
        middle = along + width / 2
        along += width + (0.0 if rng.random() < 0.6 else rng.uniform(2.0, 7.0))
        plot = _plot(road, middle, way, road.reach + setback + depth / 2, width, depth)
        if rng.random() < density and not any(_touches(plot, other, margin=setback) for other in others):
            plots.append(plot)
    return plots


def _row(
    rng: np.random.Generator, road: Road, way: int, others: list[Road], *, inset: float,
    spacing: tuple[float, float], share: float, size: float,
) -> list[Plot]:  # fmt: skip
    """Things that stand in a row on the pavement, near the kerb (or on the verge)."""
    plots = []
    aside = road.half_width + (road.verge / 2 if road.verge else inset)
    along = -50.0 + rng.uniform(0, 10)
    while along < 110.0:
        plot = _plot(road, along, way, aside, size, size)
        if rng.random() < share and not any(_touches(plot, other, margin=0.5) for other in others):
            plots.append(plot)
        along += rng.uniform(*spacing)
    return plots


def _plot(road: Road, along: float, way: int, aside: float, width: float, depth: float) -> Plot:
    centre = road.points(np.array([along]), way * aside)[0]
    towards_road = road.heading_at(along) - way * np.pi / 2
    return Plot(centre, towards_road, width, depth)


def _touches(plot: Plot, road: Road, *, margin: float) -> bool:
    """Whether a plot would lie on a straight road or its pavement."""
    right = np.array([np.cos(road.heading), -np.sin(road.heading)])
    aside = (plot_corners(plot) - road.origin) @ right
    return bool(aside.min() < road.reach + margin and aside.max() > -road.reach - margin)


def plot_corners(plot: Plot) -> Floats:
    """Counter-clockwise.  [4, 2]"""
    front = np.array([np.sin(plot.heading), np.cos(plot.heading)])
    left = np.array([-front[1], front[0]])
    ahead, aside = front * plot.depth / 2, left * plot.width / 2
    return plot.centre + np.stack([ahead - aside, ahead + aside, -ahead + aside, -ahead - aside])
