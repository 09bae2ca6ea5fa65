"""Figures as pictures: precision over recall, confusion, and how far a score is a probability."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import cv2
import numpy as np

from pipeline.messages import UInt8
from stages.models.evaluation.reliability import Reliability
from stages.publish.chart import COLOURS, FAINT, GRID, SHIFT
from stages.publish.colours import INK, WHITE, Colour, mix
from stages.publish.tags import BOLD, REGULAR, put_text, text_width

SIDE: Final = 360  # of a plot, pixels
LEFT, TOP, RIGHT, BOTTOM = 70, 60, 30, 60
LEGEND_WIDTH: Final = 260
SMALL, SIZE = 13, 16  # of letters, pixels
CELL: Final = 46  # of a matrix, pixels
MOST_CURVES: Final = len(COLOURS)
LONGEST_NAME: Final = 20
EXPLAINED: Final = "rows: what it is; columns: what it was taken for; % of the row"


def precision_recall(curves: Mapping[str, Sequence[float]], average: Mapping[str, float | None], title: str) -> UInt8:
    """RGB [H, W, 3]: precision over recall at IoU 0.5, the classes of the highest AP50 in colours, others grey.

    Args:
        curves: class -> precision [101] at recall 0, 0.01, ... 1.
        average: class -> AP50.
        title: what is seen.
    """
    rgb, place = _square(title, "Recall", "Precision")
    ordered = sorted(curves, key=lambda name: -(average.get(name) or 0.0))
    levels = np.linspace(0, 1, 101)
    for i, name in reversed(list(enumerate(ordered))):
        colour = COLOURS[i] if i < MOST_CURVES else mix(WHITE, INK, 0.25)
        _line(rgb, [place(x, y) for x, y in zip(levels, curves[name], strict=True)], colour, 2)
    for i, name in enumerate(ordered[:MOST_CURVES]):
        _entry(rgb, i, COLOURS[i], f"{_short(name)}  {100 * (average.get(name) or 0.0):.1f}")
    if len(ordered) > MOST_CURVES:
        _entry(rgb, MOST_CURVES, mix(WHITE, INK, 0.25), f"{len(ordered) - MOST_CURVES} others")
    return rgb


def reliability_diagram(found: Reliability, title: str) -> UInt8:
    """RGB [H, W, 3]: the share of boxes that are right, by score; on the diagonal a score is a probability."""
    rgb, place = _square(title, "Score", "Share that is right")
    bins = len(found.counts)
    for i, right in enumerate(found.rights):
        if right is None:
            continue
        (left, bottom), (end, top) = place(i / bins, 0.0), place((i + 1) / bins, right)
        rgb[round(top) : round(bottom), round(left) + 1 : round(end)] = COLOURS[0]
    _line(rgb, [place(0, 0), place(1, 1)], FAINT, 1)
    boxes = sum(found.counts)
    error = "no boxes" if found.error is None else f"ECE {100 * found.error:.1f} %"
    for i, text in enumerate((error, f"{boxes} boxes", f"{bins} bins")):
        put_text(rgb, text, (LEFT + SIDE + 24, TOP + 20 + 24 * i), INK, SIZE, BOLD if i == 0 else REGULAR)
    return rgb


def confusion_matrix(counts: Sequence[Sequence[int]], rows: Sequence[str], columns: Sequence[str], title: str) -> UInt8:
    """RGB [H, W, 3]: counts as shares of their row (of the truth), in percent; the darker, the more."""
    table = np.asarray(counts, np.float64)
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    margin = 20 + max(text_width(_short(name), SMALL, REGULAR) for name in (*rows, *columns))
    told = max(text_width(title, SIZE, BOLD), text_width(EXPLAINED, SMALL, REGULAR))
    width = max(margin + CELL * len(columns) + 30, told + 60)
    rgb = np.full((TOP + margin + CELL * len(rows) + 20, width, 3), 255, np.uint8)
    put_text(rgb, title, (20, 30), INK, SIZE, BOLD)
    put_text(rgb, EXPLAINED, (20, 52), FAINT, SMALL, REGULAR)
    top = TOP + margin
    for j, name in enumerate(columns):
        _upright(rgb, _short(name), margin + CELL * j + CELL // 2, top - 8)
    for i, name in enumerate(rows):
        base = top + CELL * i + CELL // 2 + 5
        text = _short(name)
        put_text(rgb, text, (margin - 10 - text_width(text, SMALL, REGULAR), base), INK, SMALL, REGULAR)
        for j in range(len(columns)):
            _cell(rgb, shares[i, j], (margin + CELL * j, top + CELL * i))
    return rgb


def _cell(rgb: UInt8, share: float, at: tuple[int, int]) -> None:
    left, top = at
    colour = mix(WHITE, COLOURS[0], float(np.sqrt(share)))
    rgb[top + 1 : top + CELL - 1, left + 1 : left + CELL - 1] = colour
    if share < 0.005:
        return
    text = f"{100 * share:.0f}"
    ink = WHITE if share > 0.5 else INK
    put_text(rgb, text, (left + (CELL - text_width(text, SMALL, REGULAR)) / 2, top + CELL / 2 + 5), ink, SMALL, REGULAR)


def _square(title: str, across: str, up: str) -> tuple[UInt8, Callable[[float, float], tuple[float, float]]]:
    """A plot of 0..1 by 0..1 with its axes, and where in the picture a point of it lies."""
    rgb = np.full((TOP + SIDE + BOTTOM, LEFT + SIDE + RIGHT + LEGEND_WIDTH, 3), 255, np.uint8)

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + SIDE * x, TOP + SIDE * (1 - y)

    put_text(rgb, title, (LEFT, 28), INK, SIZE, BOLD)
    for step in range(6):
        value = step / 5
        _line(rgb, [place(0, value), place(1, value)], GRID, 1)
        _line(rgb, [place(value, 0), place(value, 1)], GRID, 1)
        text = f"{value:g}"
        x, y = place(0, value)
        put_text(rgb, text, (x - 8 - text_width(text, SMALL, REGULAR), y + 5), FAINT, SMALL, REGULAR)
        x, y = place(value, 0)
        put_text(rgb, text, (x - text_width(text, SMALL, REGULAR) / 2, y + 20), FAINT, SMALL, REGULAR)
    x, y = place(0.5, 0)
    put_text(rgb, across, (x - text_width(across, SMALL, REGULAR) / 2, y + 44), INK, SMALL, REGULAR)
    _upright(rgb, up, 22, round(TOP + (SIDE + text_width(up, SMALL, REGULAR)) / 2))
    return rgb, place


def _upright(rgb: UInt8, text: str, x: int, bottom: int) -> None:
    """Text that is read from below, its middle at `x`."""
    length = text_width(text, SMALL, REGULAR) + 4
    strip = np.full((SMALL + 8, length, 3), 255, np.uint8)
    put_text(strip, text, (2, SMALL + 2), INK, SMALL, REGULAR)
    turned = np.rot90(strip)
    top, left = max(0, bottom - length), x - (SMALL + 8) // 2
    rgb[top : top + length, left : left + turned.shape[1]] = turned[: bottom - top]


def _entry(rgb: UInt8, row: int, colour: Colour, text: str) -> None:
    left, top = LEFT + SIDE + 24, TOP + 8 + 24 * row
    rgb[top : top + 12, left : left + 12] = colour
    put_text(rgb, text, (left + 20, top + 11), INK, SMALL, REGULAR)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _line(rgb: UInt8, points: Sequence[tuple[float, float]], colour: Colour, thickness: int) -> None:
    fixed = np.rint(np.array(points) * (1 << SHIFT)).astype(np.int32)
    cv2.polylines(rgb, [fixed], False, colour, thickness, cv2.LINE_AA, SHIFT)
