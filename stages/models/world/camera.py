"""A pinhole camera over a ground plane.

World axes: x east, y north, z up, metres.  Camera axes: x right, y down, z forward.  Pixel i covers [i, i + 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NEAR_METRES = 0.4


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """Where the camera stands and how it looks; yaw 0 looks north and grows to the east, pitch grows downwards."""

    position: Floats  # [3] metres
    yaw: float  # radians
    pitch: float  # radians
    roll: float  # radians
    focal: float  # pixels
    width: int
    height: int

    @property
    def rotation(self) -> Floats:
        """Rows are the camera's right, down and forward in world axes.  [3, 3]"""
        sin_yaw, cos_yaw = np.sin(self.yaw), np.cos(self.yaw)
        sin_pitch, cos_pitch = np.sin(self.pitch), np.cos(self.pitch)
        forward = np.array([sin_yaw * cos_pitch, cos_yaw * cos_pitch, -sin_pitch])
        right = np.array([cos_yaw, -sin_yaw, 0.0])
        down = np.array([-sin_yaw * sin_pitch, -cos_yaw * sin_pitch, -cos_pitch])
        sin_roll, cos_roll = np.sin(self.roll), np.cos(self.roll)
        return np.stack([cos_roll * right + sin_roll * down, cos_roll * down - sin_roll * right, forward])

    def to_camera(self, points: Floats) -> Floats:
        """World points [..., 3] in camera axes."""
        turned: Floats = (points - self.position) @ self.rotation.T
        return turned

    def to_pixels(self, points: Floats) -> Floats:
        """Points in camera axes [..., 3] (all in front of the camera) as pixels [..., 2]."""
        centre = np.array([self.width / 2, self.height / 2])
        pixels: Floats = points[..., :2] * (self.focal / points[..., 2:3]) + centre
        return pixels

    def sees(self, points: Floats) -> bool:
        """Whether a polygon in camera axes [n, 3] can reach into the picture (it may lie just outside)."""
        ahead = points[points[:, 2] > NEAR_METRES]
        if len(ahead) < len(points):
            return bool(len(ahead))
        pixels = self.to_pixels(ahead)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        return bool((high > 0).all() and low[0] < self.width and low[1] < self.height)

    def project(self, points: Floats) -> Floats:
        """World points [..., 3] as pixels [..., 2]; they must lie in front of the camera."""
        return self.to_pixels(self.to_camera(points))


def clip_near(polygon: Floats, *, near: float = NEAR_METRES) -> Floats:
    """The part of a polygon in camera axes [n, 3] that lies beyond the near plane."""
    return _clip(polygon, polygon[:, 2] - near)


def clip_frustum(polygon: Floats, *, slope: tuple[float, float]) -> Floats:
    """The part of a polygon in camera axes [n, 3] with |x| <= slope[0] z and |y| <= slope[1] z, beyond the near plane.

    The land reaches hundreds of metres to both sides: its corners would lie beyond what fixed-point pixels can say.
    """
    polygon = clip_near(polygon)
    for axis in (0, 1):
        for sign in (-1.0, 1.0):
            if len(polygon):
                polygon = _clip(polygon, slope[axis] * polygon[:, 2] + sign * polygon[:, axis])
    return polygon


def _clip(polygon: Floats, inside: Floats) -> Floats:
    """The part of a polygon [n, 3] where `inside` [n], linear over it, is not negative (Sutherland, Hodgman 1974)."""
    if inside.min() >= 0:
        return polygon
    distances = inside.tolist()
    kept: list[Floats] = []
    for index, here in enumerate(distances):
        following = (index + 1) % len(distances)
        there = distances[following]
        if here >= 0:
            kept.append(polygon[index])
        if (here >= 0) != (there >= 0):
            kept.append(polygon[index] + (polygon[following] - polygon[index]) * (here / (here - there)))
    return np.array(kept) if kept else np.empty((0, 3))
