"""What `ZoneWatch` says, said slowly: a track at a time, in exact fractions, without arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from math import sqrt

Point = tuple[float, float]
Exact = tuple[Fraction, Fraction]


def exact(point: Point) -> Exact:
    return Fraction(point[0]), Fraction(point[1])


def turn(a: Exact, b: Exact, c: Exact) -> Fraction:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def crossing(before: Point, after: Point, line: Sequence[Point]) -> int:
    """How often the straight move crosses the line's segments from left to right, less the other way."""
    p, q = exact(before), exact(after)
    net = 0
    for a, b in pairwise(map(exact, line)):
        was, now = turn(a, b, p) >= 0, turn(a, b, q) >= 0
        if (turn(p, q, a) >= 0) != (turn(p, q, b) >= 0):
            net += int(now) - int(was)
    return net


def is_inside(point: Point, polygon: Sequence[Point]) -> bool:
    x, y = exact(point)
    odd = False
    for i in range(len(polygon)):
        (x0, y0), (x1, y1) = exact(polygon[i]), exact(polygon[(i + 1) % len(polygon)])
        if (y0 <= y) != (y1 <= y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            odd = not odd
    return odd


def distance(point: Point, path: Sequence[Point]) -> float:
    """To the nearest of the path's segments."""
    best = float("inf")
    for (ax, ay), (bx, by) in pairwise(path):
        dx, dy, px, py = bx - ax, by - ay, point[0] - ax, point[1] - ay
        share = min(1.0, max(0.0, (dx * px + dy * py) / (dx * dx + dy * dy)))
        best = min(best, sqrt((px - share * dx) ** 2 + (py - share * dy) ** 2))
    return best


def lines_crossed(anchors: Sequence[Point], line: Sequence[Point], margin: float) -> Iterator[tuple[int, int]]:
    """(index, sign) of each crossing of one track that is seen in every frame."""
    net = 0
    for i in range(1, len(anchors)):
        net += crossing(anchors[i - 1], anchors[i], line)
        if net and distance(anchors[i], line) >= margin:
            yield i, 1 if net > 0 else -1
            net = 0


def visits(
    anchors: Sequence[Point], times_ns: Sequence[int], polygon: Sequence[Point], margin: float, min_dwell_ns: int
) -> Iterator[tuple[int, int]]:
    """(entered, left) in nanoseconds of each visit of one track."""
    ring = [*polygon, polygon[0]]
    since: list[int] = []
    for anchor, time_ns in zip(anchors, times_ns, strict=True):
        if is_inside(anchor, polygon):
            since.append(time_ns)
        elif since and distance(anchor, ring) >= margin:
            if since[-1] - since[0] >= min_dwell_ns:
                yield since[0], since[-1]
            since = []
    if since and since[-1] - since[0] >= min_dwell_ns:
        yield since[0], since[-1]
