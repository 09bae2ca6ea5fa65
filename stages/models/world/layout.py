"""Where things are: roads, crossings, the routes over them, and the plots for houses, trees and lamps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.models.world.camera import Floats
from stages.models.world.roads import Gate, Road, Route, Signals, route

_CAR_SPEED = (6.0, 10.5)
_TURN_SPEED = (4.0, 5.5)
_CYCLE_SPEED = (3.2, 5.2)
_WALK_SPEED = (0.95, 1.65)
_ZEBRA_HALF_METRES = 1.7
_STOP_BEFORE_ZEBRA_METRES = 1.4


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
    routes = (*_lanes(main, side, zebras), *_cycle_lanes(main, side, zebras), *_footways(main, side, zebras, orderly=orderly))
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
    gap = 2.6 + _ZEBRA_HALF_METRES
    return tuple(
        (road, way * (other.half_width + gap)) for road, other in ((main, side), (side, main)) for way in (-1, 1)
    )


def _lanes(main: Road, side: Road | None, zebras: tuple[tuple[Road, float], ...]) -> list[Route]:
    routes = []
    for group, road in enumerate((main, side) if side else (main,)):
        for lane in range(road.lanes):
            aside = (lane + 0.5) * road.lane_width
            routes += [_along(road, way * aside, way, zebras, group, "lane", _CAR_SPEED) for way in (1, -1)]
    if side:
        for road, other, group in ((main, side, 0), (side, main, 1)):
            for way in (1, -1):
                routes += [_turn(road, other, way, zebras, group, hand) for hand in (1, -1)]
    return routes


def _cycle_lanes(main: Road, side: Road | None, zebras: tuple[tuple[Road, float], ...]) -> list[Route]:
    return [
        _along(road, way * (road.half_width - 0.75), way, zebras, group, "cycle", _CYCLE_SPEED)
        for group, road in enumerate((main, side) if side else (main,))
        for way in (1, -1)
    ]


def _along(
    road: Road, aside: float, way: int, zebras: tuple[tuple[Road, float], ...], group: int, kind: str,
    speed: tuple[float, float],
) -> Route:  # fmt: skip
    """Straight on: keeps to the right, so that `aside` has the sign of the way."""
    along = np.arange(road.first, road.last + 0.5, 2.0)
    points = road.points(along, aside)[::way]
    gates = []
    first = [position for other, position in zebras if other is road]
    if first:
        position = min(first) if way > 0 else max(first)
        before = position - road.first if way > 0 else road.last - position
        clear = 2 * _ZEBRA_HALF_METRES + 3.0 + (max(first) - min(first))
        stop = before * _stretch(road, aside) - _ZEBRA_HALF_METRES - _STOP_BEFORE_ZEBRA_METRES
        gates.append(Gate(stop, group, clear))
    return route("lane" if kind == "lane" else "cycle", points, gates=tuple(gates), speed=speed)


def _stretch(road: Road, aside: float) -> float:
    """Length of a line beside the middle over that of the middle."""
    return 1.0 - road.curvature * aside


def _turn(
    road: Road, other: Road, way: int, zebras: tuple[tuple[Road, float], ...], group: int, hand: int
) -> Route:
    """Off one road into the other: hand 1 turns right, -1 left."""
    position = min(p for r, p in zebras if r is road)  # symmetric: the near zebra lies at this distance on any way
    forward = np.array([np.sin(road.heading), np.cos(road.heading)]) * way
    right = np.array([forward[1], -forward[0]])
    lane, exit_lane = 0.5 * road.lane_width, 0.5 * other.lane_width
    # Right: into the near lane that leads right; left: across into the lane that leads left.
    corner = -hand * exit_lane
    radius = (other.half_width - exit_lane + 2.2) if hand > 0 else (other.half_width + lane)
    start, end = corner - radius, lane + hand * radius
    straight_in = np.arange(-90.0, start, 2.0)
    angle = np.linspace(0, np.pi / 2, 12)
    arc = np.stack([start + radius * np.sin(angle), lane + hand * radius * (1 - np.cos(angle))], axis=1)
    straight_out = end + hand * np.arange(1.0, 90.0, 2.0)
    local = np.concatenate([
        np.stack([straight_in, np.full(len(straight_in), lane)], axis=1), arc,
        np.stack([np.full(len(straight_out), corner), straight_out], axis=1),
    ])  # fmt: skip
    points = local[:, :1] * forward + local[:, 1:] * right
    stop = position + 90.0 - _ZEBRA_HALF_METRES - _STOP_BEFORE_ZEBRA_METRES
    return route("lane", points, gates=(Gate(stop, group, 24.0),), speed=_TURN_SPEED)


def _footways(
    main: Road, side: Road | None, zebras: tuple[tuple[Road, float], ...], *, orderly: bool
) -> list[Route]:
    routes = []
    for road in (main, side) if side else (main,):
        other = (side if road is main else main) if side else None
        ends = [(road.first, road.last)] if other is None else [(road.first, -other.reach), (other.reach, road.last)]
        for way in (-1, 1):
            for share in (0.5, 0.68, 0.86):
                aside = way * (road.half_width + road.verge + share * road.pavement)
                for first, last in ends:
                    along = np.arange(max(first, -60.0), min(last, 75.0), 2.0)
                    points = road.points(along, aside)
                    routes += [route("foot", points[::turn], speed=_WALK_SPEED) for turn in (1, -1)]
    for road, position in zebras:
        group = 2 if road is main else 3
        other = (side if road is main else main) if side else None
        if other is not None and orderly:
            routes += _round_corner(road, other, position, group=group)
        else:
            routes += _over_zebra(road, position, group=group)
    return routes


def _over_zebra(road: Road, position: float, *, group: int) -> list[Route]:
    """From one pavement over a zebra to the other and on, both ways, on several tracks."""
    routes = []
    edge = road.half_width + road.verge
    beyond = edge + 0.5 * road.pavement
    for shift in (-1.1, 0.0, 1.1):
        for way in (1, -1):
            for turn in (1, -1):
                ahead = position + shift
                start = road.points(ahead - turn * np.array([26.0, 14.0, 2.0]), -way * beyond)
                over = road.points(np.full(3, ahead), way * np.array([-edge - 0.3, 0.0, edge + 0.3]))
                end = road.points(ahead + turn * np.array([2.0, 14.0, 26.0]), way * beyond)
                points = np.concatenate([start, over, end])
                before = float(np.hypot(*np.diff(points[:4], axis=0).T).sum())
                gate = Gate(before, group, 2 * edge + 0.6)
                routes.append(route("foot", points, gates=(gate,), speed=_WALK_SPEED))
    return routes


def _round_corner(road: Road, other: Road, position: float, *, group: int) -> list[Route]:
    """Over a zebra at a crossing: along the pavement to it, and away from the crossing or round its corner."""
    routes = []
    outwards = 1.0 if position > 0 else -1.0
    edge, beyond = road.half_width + road.verge, road.half_width + road.verge + 0.5 * road.pavement
    corner = outwards * (other.half_width + other.verge + 0.6 * other.pavement)
    for shift in (-1.1, 0.0, 1.1):
        ahead = position + shift
        away = ahead + outwards * np.array([2.0, 14.0, 40.0])
        for way in (1, -1):
            start = road.points(away[::-1], -way * beyond)
            over = road.points(np.full(3, ahead), way * np.array([-edge - 0.3, 0.0, edge + 0.3]))
            straight = road.points(away, way * beyond)
            round_it = road.points(np.full(3, corner + 0.5 * shift), way * (beyond + np.array([0.0, 14.0, 40.0])))
            gate = Gate(float(np.hypot(*np.diff(np.concatenate([start, over[:1]]), axis=0).T).sum()), group, 2 * edge + 0.6)
            for end in (straight, round_it):
                points = np.concatenate([start, over, end])
                routes.append(route("foot", points, gates=(gate,), speed=_WALK_SPEED))
                back = route("foot", points[::-1], speed=_WALK_SPEED)
                before = float(np.hypot(*np.diff(np.concatenate([over, end]), axis=0).T).sum()) - 2 * edge - 0.6
                gates = (Gate(before, group, 2 * edge + 0.6),)
                routes.append(Route("foot", back.points, back.distances, gates, _WALK_SPEED))
    return routes


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


