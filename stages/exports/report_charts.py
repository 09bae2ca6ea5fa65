"""The report's drawings: SVG that needs no script, in the page's own colours."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

from stages.exports.report_tally import TimeBins

WIDTH, HEIGHT = 960, 240  # units of the drawing
LEFT, RIGHT, TOP, BOTTOM = 40, 8, 10, 26
TICKS_SECONDS: Final = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
MOST_TICKS: Final = 10


class Series(NamedTuple):
    """One class of the time line, or what is left of them."""

    name: str
    colour: str  # as CSS has it
    labels: frozenset[int]


def clock(seconds: float, *, fine: bool = False) -> str:
    """A time since the start: ``1:05``, ``2:01:05``; with tenths where `fine`."""
    tenths = round(seconds * 10) if fine else round(seconds) * 10
    whole, tenth = divmod(tenths, 10)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
    return f"{text}.{tenth}" if fine else text


def timeline(bins: TimeBins, duration_ns: int, series: Sequence[Series], gaps_ns: Sequence[int]) -> str:
    """Objects in a frame on average, stacked by class, over time; gaps as marks along the axis."""
    count = max(1, -(-duration_ns // bins.width_ns), *(index + 1 for index in bins.bins))
    heights = [[_mean(bins, index, one.labels) for index in range(count)] for one in series]
    top = _nice(max((sum(column) for column in zip(*heights, strict=True)), default=0.0))
    scale = _Scale(span_seconds=count * bins.width_ns / 1e9, top=top)
    parts = [_grid(scale), *_areas(heights, series, scale), *(_gap_mark(scale.x(ns / 1e9)) for ns in gaps_ns)]
    label = "Objects in a frame, on average, over time, by class"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}" class="chart">'
        f"{''.join(parts)}</svg>"
    )


class _Scale(NamedTuple):
    span_seconds: float
    top: float

    def x(self, seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, seconds / self.span_seconds)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.top


def _mean(bins: TimeBins, index: int, labels: frozenset[int]) -> float:
    one = bins.bins.get(index)
    if one is None or not one.frames:
        return 0.0
    return sum(count for label, count in one.objects.items() if label in labels) / one.frames


def _areas(heights: list[list[float]], series: Sequence[Series], scale: _Scale) -> list[str]:
    """A stepped area a class, the first at the bottom."""
    count = len(heights[0]) if heights else 0
    base = [0.0] * count
    edges = [scale.x(scale.span_seconds * i / count) for i in range(count + 1)] if count else []
    areas = []
    for one, own in zip(series, heights, strict=True):
        upper = [low + more for low, more in zip(base, own, strict=True)]
        there = _steps(edges, [scale.y(value) for value in upper])
        back = _steps(edges, [scale.y(value) for value in base])[::-1]
        if any(own):
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in there + back)
            areas.append(f'<polygon points="{points}" fill="{one.colour}"><title>{escape(one.name)}</title></polygon>')
        base = upper
    return areas


def _steps(edges: list[float], values: list[float]) -> list[tuple[float, float]]:
    return [(x, y) for i, y in enumerate(values) for x in (edges[i], edges[i + 1])]


def _grid(scale: _Scale) -> str:
    """Lines and numbers of both axes."""
    parts = []
    for step in range(5):
        value = scale.top * step / 4
        y = scale.y(value)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    tick = next((t for t in TICKS_SECONDS if scale.span_seconds / t <= MOST_TICKS), 0)
    tick = tick or -(-scale.span_seconds // (MOST_TICKS * 86_400)) * 86_400
    for i in range(int(scale.span_seconds // tick) + 1):
        x = scale.x(i * tick)
        anchor = "middle" if x < WIDTH - 30 else "end"
        text = clock(i * tick, fine=tick < 1)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM + 5}" class="axis"/>'
        )
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{text}</text>')
    parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}" class="axis"/>')
    return "".join(parts)


def _gap_mark(x: float) -> str:
    y = HEIGHT - BOTTOM
    return (
        f'<path d="M{x:.1f} {y}l-5 -9h10z" class="gap"><title>frames without a result</title></path>'
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{y}" class="gapline"/>'
    )


def _nice(most: float) -> float:
    """The least of 1, 2, 4, 8, 10, 20, ... that is not below, so that four steps to it are plain numbers."""
    magnitude = 1.0
    while True:
        for factor in (1, 2, 4, 8):
            if most <= factor * magnitude:
                return factor * magnitude
        magnitude *= 10
