"""A soak in one picture: memory, descriptors and latency over time, and when which fault was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

WIDTH, PANEL_HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 1400, 230, 90, 20, 34, 24
INK, PALE, LINE, MARK = (40, 40, 40), (225, 225, 225), (160, 90, 20), (60, 60, 200)  # BGR
FONT = cv2.FONT_HERSHEY_SIMPLEX
LABELS_HEIGHT, SMALL = 190, 0.42

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Panel:
    """One curve."""

    title: str
    points: Sequence[tuple[float, float]]  # seconds, value


def draw(path: Path, panels: Sequence[Panel], *, seconds: float, faults: Sequence[tuple[float, str]]) -> None:
    """Write the picture as PNG. Raises `OSError` where that cannot be."""
    strips = [_panel(panel, seconds, [at for at, _ in faults]) for panel in panels]
    picture = np.vstack([*strips, _labels(seconds, faults)])
    done, data = cv2.imencode(".png", picture)
    assert done
    path.write_bytes(data.tobytes())


def _x(at: float, seconds: float) -> int:
    return LEFT + round(at / max(seconds, 1e-9) * (WIDTH - LEFT - RIGHT))


def _panel(panel: Panel, seconds: float, marks: Sequence[float]) -> Picture:
    picture = np.full((PANEL_HEIGHT, WIDTH, 3), 255, np.uint8)
    highest = 1.1 * max((value for _, value in panel.points), default=1.0) or 1.0

    def y(value: float) -> int:
        return PANEL_HEIGHT - BOTTOM - round(value / highest * (PANEL_HEIGHT - TOP - BOTTOM))

    for share in (0.0, 0.5, 1.0):
        at = y(share * highest)
        cv2.line(picture, (LEFT, at), (WIDTH - RIGHT, at), PALE, 1)
        _write(picture, f"{share * highest:.0f}", (10, at + 5))
    for mark in marks:
        cv2.line(picture, (_x(mark, seconds), TOP), (_x(mark, seconds), PANEL_HEIGHT - BOTTOM), MARK, 1)
    points = np.array([(_x(at, seconds), y(value)) for at, value in panel.points], np.int32).reshape(-1, 1, 2)
    cv2.polylines(picture, [points], False, LINE, 2, cv2.LINE_AA)
    for point in points[:, 0] if len(points) < 100 else []:
        cv2.circle(picture, (int(point[0]), int(point[1])), 3, LINE, -1, cv2.LINE_AA)
    _write(picture, panel.title, (LEFT, TOP - 12), size=0.55)
    return picture


def _labels(seconds: float, faults: Sequence[tuple[float, str]]) -> Picture:
    """The minutes, and the names of the faults, upright under their marks."""
    strip = np.full((LABELS_HEIGHT, WIDTH, 3), 255, np.uint8)
    for minute in range(0, int(seconds // 60) + 1, max(1, int(seconds // 60) // 12)):
        _write(strip, f"{minute} min", (_x(60 * minute, seconds) - 18, 14))
    sideways = np.full((WIDTH, LABELS_HEIGHT - 20, 3), 255, np.uint8)  # turned back afterwards
    for at, name in faults:
        width, _ = cv2.getTextSize(name, FONT, SMALL, 1)[0]
        _write(sideways, name, (LABELS_HEIGHT - 24 - width, _x(at, seconds) + 4), size=SMALL)
    strip[20:] = cv2.rotate(sideways, cv2.ROTATE_90_COUNTERCLOCKWISE)
    return strip


def _write(picture: Picture, text: str, at: tuple[int, int], *, size: float = 0.45) -> None:
    cv2.putText(picture, text, at, FONT, size, INK, 1, cv2.LINE_AA)
