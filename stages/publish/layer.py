"""A see-through layer over a picture, and the shapes drawn into it.

Everything translucent is collected in one layer and laid over the picture once, so that a crowd costs one pass over
the pixels, and edges stay smooth: the layer holds premultiplied colour (T. Porter and T. Duff, "Compositing Digital
Images", 1984), which OpenCV's anti-aliased drawing mixes correctly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.messages import UInt8
from stages.publish.colours import Colour

SHIFT: Final = 4  # OpenCV draws in sixteenths of a pixel
CORNER_STEPS: Final = np.linspace(0.0, np.pi / 2, 6)

Points = npt.NDArray[np.float64]  # [P, 2] x, y; 0 is the left or top edge of the first pixel


class Layer:
    """Colour [H, W, 3] times its opacity, and beside it the share of the picture that stays to be seen."""

    def __init__(self, colour: UInt8, kept: UInt8) -> None:
        """Both uint8 [H, W, 3]; drawing changes them."""
        self.colour, self.kept = colour, kept

    @classmethod
    def clear(cls, width: int, height: int) -> Layer:
        """A layer with nothing in it."""
        shape = (height, width, 3)
        return cls(np.zeros(shape, dtype=np.uint8), np.full(shape, 255, dtype=np.uint8))

    def fill(self, outlines: Sequence[Points], colour: Colour, opacity: float) -> None:
        """Fill an area given by its outlines, holes included; what the layer held there is replaced."""
        points = [fixed(outline) for outline in outlines]
        for pixels, value in self._values(colour, opacity):
            cv2.fillPoly(pixels, points, value, cv2.LINE_AA, SHIFT)

    def path(self, points: Points, colour: Colour, *, opacity: float, thickness: int) -> None:
        """A line through the points [P, 2]."""
        line = [fixed(points)]
        for pixels, value in self._values(colour, opacity):
            cv2.polylines(pixels, line, False, value, thickness, cv2.LINE_AA, SHIFT)

    def _values(self, colour: Colour, opacity: float) -> tuple[tuple[UInt8, tuple[float, ...]], ...]:
        return (self.colour, tuple(c * opacity for c in colour)), (self.kept, ((1.0 - opacity) * 255,) * 3)

    def over(self, rgb: UInt8) -> UInt8:
        """The picture [H, W, 3] seen through the layer."""
        seen = cv2.multiply(rgb, self.kept, scale=1 / 255)
        return np.asarray(cv2.add(seen, self.colour, dst=seen))


def fixed(points: Points) -> npt.NDArray[np.int32]:
    """Points [P, 2] in OpenCV's fixed point, whose 0 is the centre of the first pixel."""
    return np.rint((points - 0.5) * (1 << SHIFT)).astype(np.int32)


def rounded(box: tuple[float, float, float, float], radius: float) -> Points:
    """The outline of an `xyxy` box with round corners."""
    left, top, right, bottom = box
    radius = max(0.0, min(radius, (right - left) / 2, (bottom - top) / 2))
    sin, cos = np.sin(CORNER_STEPS) * radius, np.cos(CORNER_STEPS) * radius
    xs = (right - radius + sin, right - radius + cos, left + radius - sin, left + radius - cos)
    ys = (top + radius - cos, bottom - radius + sin, bottom - radius + cos, top + radius - sin)
    return np.stack([np.concatenate(xs), np.concatenate(ys)], axis=1)


def stroke(rgb: UInt8, outlines: Sequence[Points], colour: Colour, thickness: int) -> None:
    """Draw closed outlines into the picture itself."""
    cv2.polylines(rgb, [fixed(outline) for outline in outlines], True, colour, thickness, cv2.LINE_AA, SHIFT)


def dashes(outline: Points, dash: float) -> list[Points]:
    """A closed outline cut into strokes of `dash` pixels with as long a space between them."""
    closed = np.vstack([outline, outline[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    count = max(2, round(along[-1] / (2 * dash)))
    starts = np.arange(count) * along[-1] / count
    places = starts[:, None] + np.linspace(0.0, along[-1] / count / 2, 4)  # [count, 4]
    return list(np.stack([np.interp(places, along, closed[:, axis]) for axis in (0, 1)], axis=-1))


def stroke_open(rgb: UInt8, lines: Sequence[Points], colour: Colour, thickness: int) -> None:
    """Draw lines that do not close."""
    cv2.polylines(rgb, [fixed(line) for line in lines], False, colour, thickness, cv2.LINE_AA, SHIFT)


def panel(rgb: UInt8, box: tuple[float, float, float, float], radius: float, colour: Colour, opacity: float) -> None:
    """A translucent plate with round corners, laid on a part of the picture."""
    height, width = rgb.shape[:2]
    left, top = max(0, int(box[0])), max(0, int(box[1]))
    right, bottom = min(width, int(np.ceil(box[2]))), min(height, int(np.ceil(box[3])))
    if left >= right or top >= bottom:
        return
    part: Any = rgb[top:bottom, left:right]
    layer = Layer.clear(right - left, bottom - top)
    layer.fill([rounded(box, radius) - (left, top)], colour, opacity)
    part[:] = layer.over(np.ascontiguousarray(part))
