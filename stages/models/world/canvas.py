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
        self.samples: NDArray[np.uint8] = np.empty((height * supersample, width * supersample, 4), np.uint8)

    def polygon(self, points: Floats, colour: Sequence[float], index: int) -> None:
        """Fills one polygon, convex or not.  points [n, 2]"""
        self.fill([self.fixed(points)], colour, index)

    def polygons(self, points: Floats | Sequence[Floats], colour: Sequence[float], index: int) -> None:
        """Fills many polygons that do not overlap, all alike.  points [m, n, 2] or a list of [n, 2]"""
        if len(points):
            self.fill([self.fixed(polygon) for polygon in points], colour, index)

    def hull(self, points: Floats, colour: Sequence[float], index: int) -> None:
        """Fills the convex outline around points.  [n, 2]"""
        self.fill([_hull(self.fixed(points))], colour, index)

    def ring(self, points: Floats, hole: Floats, colour: Sequence[float], index: int) -> None:
        """Fills the convex outline around points [n, 2] but for a hole in it [m, 2]."""
        self.fill([_hull(self.fixed(points)), self.fixed(hole)], colour, index)

    def bar(self, ends: Floats, width: float, colour: Sequence[float], index: int) -> None:
        """A straight bar between two points [2, 2], `width` pixels wide."""
        way = ends[1] - ends[0]
        normal = np.array([-way[1], way[0]]) * (0.5 * width / max(float(np.hypot(*way)), 1e-6))
        if abs(way[0]) + abs(way[1]) < width:  # seen end on
            normal = np.array([0.5 * width, 0.0])
        self.polygon(np.stack([ends[0] + normal, ends[1] + normal, ends[1] - normal, ends[0] - normal]), colour, index)

    def tinted(self, points: Floats, colour: Sequence[float], index: int, *, share: float) -> None:
        """Fills a polygon with a thin sheet: `share` of the colour over what is there already; the index is taken."""
        left, top = np.floor(points.min(axis=0)).astype(int) - 1
        right, bottom = np.ceil(points.max(axis=0)).astype(int) + 1
        scale = self.supersample
        rows = slice(max(top, 0) * scale, max(bottom, 0) * scale)
        region = self.samples[rows, max(left, 0) * scale : max(right, 0) * scale]
        if region.size:
            before = region.copy()
            self.polygon(points, colour, index)
            region[..., :3] = cv2.addWeighted(before, 1 - share, region, share, 0)[..., :3]

    def sprite(self, samples: NDArray[np.uint8], box: tuple[float, float, float, float]) -> None:
        """Pastes a picture [h, w, 4] where its index is not 0, stretched to a box (xyxy, pixels)."""
        left, top, right, bottom = (edge * self.supersample for edge in box)
        rows, columns = self.samples.shape[:2]
        low_x, low_y = max(int(left), 0), max(int(top), 0)
        high_x, high_y = min(int(right) + 1, columns), min(int(bottom) + 1, rows)
        if high_x <= low_x or high_y <= low_y:
            return
        # Only the part inside the canvas is stretched: a tree beside the camera may be far larger than the picture.
        across, down = samples.shape[1] / (right - left), samples.shape[0] / (bottom - top)
        to_source = np.array([[across, 0, (low_x - left) * across], [0, down, (low_y - top) * down]])
        stretched = cv2.warpAffine(
            samples, to_source, (high_x - low_x, high_y - low_y), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        )
        cv2.copyTo(stretched, cv2.extractChannel(stretched, 3), self.samples[low_y:high_y, low_x:high_x])

    def many(self, outlines: Sequence[NDArray[np.int32]], colour: Sequence[float], index: int) -> None:
        """Fills convex outlines that `fixed` has made, which may overlap."""
        red, green, blue = colour
        for outline in outlines:
            cv2.fillConvexPoly(self.samples, outline, (red, green, blue, float(index)), cv2.LINE_8, _SHIFT)

    def picture(self) -> NDArray[np.uint8]:
        """[H, W, 3] RGB"""
        shrunk: NDArray[np.uint8] = self.samples
        if self.supersample > 1:
            shrunk = np.asarray(cv2.resize(shrunk, (self.width, self.height), interpolation=cv2.INTER_AREA), np.uint8)
        return np.ascontiguousarray(shrunk[..., :3])

    def put(self, picture: NDArray[np.uint8]) -> None:
        """Replaces the colours of the canvas by a picture [H, W, 3]; the indices stay."""
        columns, rows = self.width * self.supersample, self.height * self.supersample
        grown = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_NEAREST)
        cv2.mixChannels([grown], [self.samples], [0, 0, 1, 1, 2, 2])

    def indices(self) -> NDArray[np.uint8]:
        """[H, W] the index painted last at each pixel"""
        return np.ascontiguousarray(self.samples[:: self.supersample, :: self.supersample, 3])

    def fill(self, contours: Sequence[NDArray[np.int32]], colour: Sequence[float], index: int) -> None:
        """Fills contours that `fixed` has made."""
        red, green, blue = colour
        cv2.fillPoly(self.samples, contours, (red, green, blue, float(index)), cv2.LINE_8, _SHIFT)

    def fixed(self, points: Floats) -> NDArray[np.int32]:
        """Pixels of the picture [n, 2] in the canvas's fixed point."""
        within = np.minimum(np.maximum(points, -_LIMIT_PIXELS), _LIMIT_PIXELS)
        return np.rint(within * (self.supersample << _SHIFT) - 0.5 * (1 << _SHIFT)).astype(np.int32)


def _hull(outline: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.asarray(cv2.convexHull(outline), np.int32)
