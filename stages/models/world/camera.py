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
        return (points - self.position) @ self.rotation.T

    def to_pixels(self, points: Floats) -> Floats:
        """Points in camera axes [..., 3] (all in front of the camera) as pixels [..., 2]."""
        centre = np.array([self.width / 2, self.height / 2])
        return points[..., :2] * (self.focal / points[..., 2:3]) + centre

    def project(self, points: Floats) -> Floats:
        """World points [..., 3] as pixels [..., 2]; they must lie in front of the camera."""
        return self.to_pixels(self.to_camera(points))


def clip_near(polygon: Floats, *, near: float = NEAR_METRES) -> Floats:
    """The part of a polygon in camera axes [n, 3] that lies beyond the near plane (Sutherland-Hodgman, one plane)."""
    depth = polygon[:, 2]
    if depth.min() >= near:
        return polygon
    kept: list[Floats] = []
    for here, there in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if here[2] >= near:
            kept.append(here)
        if (here[2] >= near) != (there[2] >= near):
            kept.append(here + (there - here) * ((near - here[2]) / (there[2] - here[2])))
    return np.array(kept) if kept else np.empty((0, 3))
