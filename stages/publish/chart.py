"""Figures as a picture: numbers over time as steps, and counts as bars, panels one below the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, floor, log10
from typing import Final

import cv2
import numpy as np

from pipeline.messages import UInt8
from pipeline.messages.panels import Bars, Curves, Panel
from stages.publish.colours import INK, OKABE_ITO, WHITE, Colour, mix
from stages.publish.tags import BOLD, CAP_HEIGHT, REGULAR, put_text, text_width

WIDTH: Final = 1280
LEFT, RIGHT, TOP, BOTTOM = 84, 40, 64, 40  # around a plot; above it stand its title and what its colours mean
CURVES_HEIGHT: Final = 190  # of the plot
BAR_HEIGHT, BAR_SPACE = 22, 12
LABELS_WIDTH: Final = 250  # left of bars
SIZE, SMALL, LARGE = 15, 13, 22  # of letters, pixels
GRID: Final = mix(WHITE, INK, 0.12)
FAINT: Final = mix(WHITE, INK, 0.6)
SHIFT: Final = 4  # OpenCV draws in sixteenths of a pixel
# Yellow cannot be read on white.
COLOURS: Final[tuple[Colour, ...]] = tuple(
    mix(colour, INK, 0.15) for colour in (*OKABE_ITO[:3], *OKABE_ITO[4:], (110, 110, 110))
)


def draw_chart(panels: Sequence[Panel], title: str) -> UInt8:
    """RGB [H, W, 3]; a name has one colour in all panels."""
    names = list(dict.fromkeys(name for panel in panels for name in _names(panel)))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    head = _blank(56)
    put_text(head, _fitting(title, WIDTH - LEFT - RIGHT, LARGE, BOLD), (LEFT, 40), INK, LARGE, BOLD)
    strips = [_curves(p, colours) if isinstance(p, Curves) else _bars(p, colours) for p in panels]
    return np.vstack([head, *strips])


def _names(panel: Panel) -> Iterator[str]:
    if isinstance(panel, Curves):
        yield from panel.values
    else:
        yield from (name for _, counts in panel.rows for name in counts)


def _blank(height: int) -> UInt8:
    return np.full((height, WIDTH, 3), 255, dtype=np.uint8)


def _curves(panel: Curves, colours: dict[str, Colour]) -> UInt8:
    rgb = _blank(TOP + CURVES_HEIGHT + BOTTOM)
    _title(rgb, panel.title, list(panel.values), colours)
    values = [value for series in panel.values.values() for value in series]
    whole = all(value == round(value) for value in values)
    steps = _number_ticks(panel.highest or max(values, default=1.0) or 1.0, least=1.0 if whole else 0.0)
    highest = panel.highest or steps[-1]
    first, last = min(panel.begins, default=0.0), max(panel.begins, default=0.0) + panel.length

    def x(at: float) -> float:
        return LEFT + (at - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + CURVES_HEIGHT * (1 - value / highest)

    for step in steps:
        _line(rgb, [(LEFT, y(step)), (WIDTH - RIGHT, y(step))], GRID, 1)
        text = f"{step:g}"
        put_text(rgb, text, (LEFT - 10 - text_width(text, SMALL, REGULAR), y(step) + 5), FAINT, SMALL, REGULAR)
    _time_axis(rgb, [(x(at), text) for at, text in panel.ticks if first <= at <= last])
    for name, series in panel.values.items():
        for run in _runs(panel, series):
            points = [(x(at), y(value)) for begin, value in run for at in (begin, begin + panel.length)]
            for at, value in zip(points[::2], points[1::2], strict=True):
                _shade(rgb, (at[0], at[1], value[0], y(0)), colours[name])
            _line(rgb, points, colours[name], 2)
    return rgb


def _time_axis(rgb: UInt8, ticks: Sequence[tuple[float, str]]) -> None:
    """Labels below the plot; one that would stand in another is left out."""
    free = float("-inf")
    for at, text in ticks:
        _line(rgb, [(at, TOP + CURVES_HEIGHT), (at, TOP + CURVES_HEIGHT + 5)], FAINT, 1)
        width = text_width(text, SMALL, REGULAR)
        left = min(max(at - width / 2, 4), WIDTH - width - 4)
        if left > free:
            put_text(rgb, text, (left, TOP + CURVES_HEIGHT + 22), FAINT, SMALL, REGULAR)
            free = left + width + 12


def _runs(panel: Curves, series: Sequence[float]) -> Iterator[list[tuple[float, float]]]:
    """Values of pieces of time that follow each other without a hole."""
    run: list[tuple[float, float]] = []
    for begin, value in zip(panel.begins, series, strict=True):
        if run and begin - run[-1][0] > 1.5 * panel.length:
            yield run
            run = []
        run.append((begin, value))
    if run:
        yield run


def _bars(panel: Bars, colours: dict[str, Colour]) -> UInt8:
    rgb = _blank(TOP + max(len(panel.rows), 1) * (BAR_HEIGHT + BAR_SPACE) + 16)
    _title(rgb, panel.title, list(dict.fromkeys(_names(panel))), colours)
    most = max((sum(counts.values()) for _, counts in panel.rows), default=0) or 1
    scale = (WIDTH - LEFT - LABELS_WIDTH - RIGHT - 60) / most
    for i, (label, counts) in enumerate(panel.rows):
        top = TOP + i * (BAR_HEIGHT + BAR_SPACE)
        base = top + (BAR_HEIGHT + CAP_HEIGHT * SIZE) / 2
        text = _fitting(label, LABELS_WIDTH, SIZE, REGULAR)
        right = LEFT + LABELS_WIDTH - text_width(text, SIZE, REGULAR)
        put_text(rgb, text, (right, base), INK, SIZE, REGULAR)
        left = float(LEFT + LABELS_WIDTH + 12)
        for name, count in counts.items():
            _fill(rgb, (left, top, left + count * scale, top + BAR_HEIGHT), colours[name])
            left += count * scale
        put_text(rgb, str(sum(counts.values())), (left + 8, base), INK, SIZE, BOLD)
    return rgb


def _title(rgb: UInt8, title: str, names: Sequence[str], colours: dict[str, Colour]) -> None:
    put_text(rgb, title, (LEFT, 22), INK, SIZE, BOLD)
    left = float(LEFT)
    for name in names:
        width = text_width(name, SMALL, REGULAR)
        if left + width + 30 > WIDTH - RIGHT:
            put_text(rgb, "…", (left, 47), FAINT, SMALL, REGULAR)
            break
        _fill(rgb, (left, 37, left + 12, 49), colours[name])
        put_text(rgb, name, (left + 18, 47), FAINT, SMALL, REGULAR)
        left += width + 40


def _number_ticks(highest: float, *, least: float) -> list[float]:
    """Round numbers from 0 to beyond `highest`, at least so far from each other."""
    rough = max(highest / 4, least)
    unit = 10.0 ** floor(log10(rough))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= rough * 0.999)
    return [round(i * step, 10) for i in range(ceil(highest / step * 0.999) + 1)]


def _fitting(text: str, room: float, size: int, weight: int) -> str:
    if text_width(text, size, weight) <= room:
        return text
    while text and text_width(f"{text}…", size, weight) > room:
        text = text[:-1]
    return f"{text}…"


def _line(rgb: UInt8, points: Sequence[tuple[float, float]], colour: Colour, thickness: int) -> None:
    fixed = np.rint(np.array(points) * (1 << SHIFT)).astype(np.int32)
    cv2.polylines(rgb, [fixed], False, colour, thickness, cv2.LINE_AA, SHIFT)


def _fill(rgb: UInt8, box: tuple[float, float, float, float], colour: Colour) -> None:
    left, top, right, bottom = (round(edge) for edge in box)
    rgb[top:bottom, left : max(right, left)] = colour


def _shade(rgb: UInt8, box: tuple[float, float, float, float], colour: Colour) -> None:
    """A breath of colour below a curve."""
    left, top, right, bottom = (round(edge) for edge in box)
    part = rgb[top:bottom, left:right].astype(np.uint16)
    rgb[top:bottom, left:right] = ((part * 7 + np.array(colour, dtype=np.uint16)) // 8).astype(np.uint8)
