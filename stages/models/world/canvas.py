"""The surface that is painted on: colour and object index together, so that picture and truth cannot disagree.

The canvas has four 8-bit channels, R, G, B and the index of what is painted, at `supersample` times the size of the
picture.  Shrinking the first three gives smooth edges; the index of a pixel is that of its top-left sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.models.world.camera import Floats

_SHIFT = 3  # fractional bits of the coordinates given to OpenCV
_LIMIT_PIXELS = 20_000.0  # OpenCV's fixed point overflows far outside the picture

Colour = tuple[float, float, float]


class Canvas:
    """Paints polygons given in pixels of the final picture; later paint hides earlier paint."""

    def __init__(self, *, width: int, height: int, supersample: int) -> None:
        self.width, self.height, self.supersample = width, height, supersample
        self.samples: NDArray[np.uint8] = np.zeros((height * supersample, width * supersample, 4), np.uint8)

    def polygon(self, points: Floats, colour: Sequence[float], index: int) -> None:
        """Fills one polygon, convex or not.  points [n, 2]"""
        cv2.fillPoly(self.samples, [self._fixed(points)], _paint(colour, index), cv2.LINE_8, _SHIFT)

    def polygons(self, points: Floats | Sequence[Floats], colour: Sequence[float], index: int) -> None:
        """Fills many polygons that do not overlap, all alike.  points [m, n, 2] or a list of [n, 2]"""
        if len(points):
            contours = [self._fixed(polygon) for polygon in points]
            cv2.fillPoly(self.samples, contours, _paint(colour, index), cv2.LINE_8, _SHIFT)

    def picture(self) -> NDArray[np.uint8]:
        """[H, W, 3] RGB"""
        colour = np.ascontiguousarray(self.samples[..., :3])
        if self.supersample == 1:
            return colour
        shrunk = cv2.resize(colour, (self.width, self.height), interpolation=cv2.INTER_AREA)
        return np.asarray(shrunk, np.uint8)

    def indices(self) -> NDArray[np.uint8]:
        """[H, W] the index painted last at each pixel"""
        return np.ascontiguousarray(self.samples[:: self.supersample, :: self.supersample, 3])

    def _fixed(self, points: Floats) -> NDArray[np.int32]:
        scaled = np.clip(points, -_LIMIT_PIXELS, _LIMIT_PIXELS) * self.supersample - 0.5
        return np.rint(scaled * (1 << _SHIFT)).astype(np.int32)


def _paint(colour: Sequence[float], index: int) -> tuple[float, float, float, float]:
    red, green, blue = colour
    return red, green, blue, float(index)
