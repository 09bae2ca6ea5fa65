"""The ways through a layout: lanes that go straight on or turn, cycle lanes, footways, and the way over zebras."""

from __future__ import annotations

import numpy as np

from stages.models.world.camera import Floats
from stages.models.world.roads import Gate, Road, Route, RouteKind, route

_CAR_SPEED = (6.0, 10.5)
_TURN_SPEED = (4.0, 5.5)
_CYCLE_SPEED = (3.2, 5.2)
_WALK_SPEED = (0.95, 1.65)
ZEBRA_HALF_METRES = 1.7
_STOP_BEFORE_ZEBRA_METRES = 1.4

Zebras = tuple[tuple[Road, float], ...]  # road and position along it


def ways(main: Road, side: Road | None, zebras: Zebras, *, orderly: bool) -> tuple[Route, ...]:
    """All routes; where people are not orderly, some cut corners over the carriageway."""
    return (
        *_lanes(main, side, zebras),
        *_cycle_lanes(main, side, zebras),
        *_footways(main, side, zebras, orderly=orderly),
    )


def _lanes(main: Road, side: Road | None, zebras: Zebras) -> list[Route]:
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


def _cycle_lanes(main: Road, side: Road | None, zebras: Zebras) -> list[Route]:
    return [
        _along(road, way * (road.half_width - 0.75), way, zebras, group, "cycle", _CYCLE_SPEED)
        for group, road in enumerate((main, side) if side else (main,))
        for way in (1, -1)
    ]


def _along(
    road: Road, aside: float, way: int, zebras: Zebras, group: int, kind: RouteKind,
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
        clear = 2 * ZEBRA_HALF_METRES + 3.0 + (max(first) - min(first))
        stop = before * _stretch(road, aside) - ZEBRA_HALF_METRES - _STOP_BEFORE_ZEBRA_METRES
        gates.append(Gate(stop, group, clear))
    return route(kind, points, gates=tuple(gates), speed=speed)


def _stretch(road: Road, aside: float) -> float:
    """Length of a line beside the middle over that of the middle."""
    return 1.0 - road.curvature * aside


def _turn(road: Road, other: Road, way: int, zebras: Zebras, group: int, hand: int) -> Route:
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
    stop = position + 90.0 - ZEBRA_HALF_METRES - _STOP_BEFORE_ZEBRA_METRES
    return route("lane", points, gates=(Gate(stop, group, 24.0),), speed=_TURN_SPEED)


def _footways(main: Road, side: Road | None, zebras: Zebras, *, orderly: bool) -> list[Route]:
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
                gate = Gate(_length(points[:4]), group, 2 * edge + 0.6)
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
            for end in (straight, round_it):
                points = np.concatenate([start, over, end])
                there = Gate(_length(points[:4]), group, 2 * edge + 0.6)
                back = Gate(_length(points[5:]), group, 2 * edge + 0.6)
                routes.append(route("foot", points, gates=(there,), speed=_WALK_SPEED))
                routes.append(route("foot", points[::-1], gates=(back,), speed=_WALK_SPEED))
    return routes


def _length(points: Floats) -> float:
    return float(np.hypot(*np.diff(points, axis=0).T).sum())
