"""One look at the world: the camera, the canvas and the light together, and how things get their colour."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.models.world.camera import NEAR_METRES, Camera, Floats, clip_frustum
from stages.models.world.canvas import Canvas
from stages.models.world.climate import Climate
from stages.models.world.solids import Mesh

_LAMP_REACH_METRES = 6.5
_WITHIN_PIXELS = 8_000.0  # polygons that reach no farther need no cutting


class View:
    """Projects and paints in world coordinates, with light and fog."""

    def __init__(self, camera: Camera, climate: Climate, canvas: Canvas, *, lamps: Floats) -> None:
        self.camera, self.climate, self.canvas = camera, climate, canvas
        self.lamps = lamps  # [L, 3] heads of the lamps that are on
        self.rotation = camera.rotation
        self.origin = camera.position
        self._slope = (2.0 * camera.width / camera.focal, 2.0 * camera.height / camera.focal)

    def to_camera(self, points: Floats) -> Floats:
        """World points [..., 3] in camera axes."""
        turned: Floats = (points - self.origin) @ self.rotation.T
        return turned

    def outline(self, points: Floats) -> Floats:
        """A world polygon [n, 3] in pixels [m, 2], cut a good way outside the picture; empty where nothing is left."""
        seen = self.to_camera(points)
        if seen[:, 2].min() >= NEAR_METRES:
            pixels = self.camera.to_pixels(seen)
            if abs(pixels).max() < _WITHIN_PIXELS:
                return pixels
        clipped = clip_frustum(seen, slope=self._slope)
        return self.camera.to_pixels(clipped) if len(clipped) > 2 else np.empty((0, 2))

    def polygon(self, points: Floats, colour: Sequence[float], index: int) -> None:
        """Paints a world polygon [n, 3] in a colour that is lit already."""
        outline = self.outline(points)
        if len(outline):
            self.canvas.polygon(outline, colour, index)

    def lamplight(self, place: Floats) -> Floats:
        """Gain from the street lamps at a place.  [3]"""
        if not len(self.lamps):
            return np.zeros(3)
        squared = ((self.lamps[:, :2] - place[:2]) ** 2).sum(axis=1)
        if squared.min() > 30 * _LAMP_REACH_METRES**2:
            return np.zeros(3)
        share = float((1.0 / (1.0 + squared / _LAMP_REACH_METRES**2) ** 2).sum())
        return min(share, 0.9) * np.array([0.62, 0.50, 0.34])

    def lit(self, albedo: Floats, normals: Floats, place: Floats, *, sunny: float = 1.0) -> Floats:
        """Colours [n, 3] of surfaces with these normals [n, 3] (or one [3]) at a place; fog not yet in front."""
        facing = np.maximum(normals @ self.climate.sun_direction, 0.0)
        sky = 0.74 + 0.26 * normals[..., 2]
        gain = sky[..., None] * self.climate.ambient_gain + (facing * sunny)[..., None] * self.climate.sun_gain
        lamps = self.lamplight(place)
        colours: Floats = albedo * (gain + lamps)
        return colours

    def veiled(self, colours: Floats, depth: float) -> Floats:
        """Colours with the fog in front of them, within 0..255."""
        veil = self.climate.veil(depth)
        seen: Floats = np.clip(colours + (self.climate.horizon - colours) * veil, 0.0, 255.0)
        return seen

    def mesh(self, mesh: Mesh, place: Floats, heading: float, index: int, *, sunny: float = 1.0) -> None:
        """Paints a mesh that stands at `place` [3], its front towards `heading`."""
        turn = local_axes(heading)  # rows: forward, left, up
        eye = turn @ (self.origin - place)
        points = self.to_camera(mesh.vertices @ turn + place)
        depth = float(self.to_camera(place[None])[0, 2])
        tall = self.camera.focal * mesh.size[2] / max(depth, 1.0)
        towards = ((eye - mesh.centres) * mesh.normals).sum(axis=1)
        faces = np.flatnonzero((towards[mesh.parents] > 0) & (mesh.finest <= tall))
        if not len(faces):
            return
        colours = self.lit(mesh.albedo, mesh.normals @ turn, place, sunny=sunny)
        colours += (mesh.albedo / self.climate.exposure - colours) * mesh.glow[:, None]
        colours = self.veiled(colours, depth)
        self._faces(mesh, points, faces[_order(mesh, faces, eye)], colours, index)

    def _faces(self, mesh: Mesh, points: Floats, faces: Indices, colours: Floats, index: int) -> None:
        paints = colours.tolist()
        if points[:, 2].min() >= NEAR_METRES:
            fixed = self.canvas.fixed(self.camera.to_pixels(points))
            for face in faces.tolist():
                self.canvas.fill([fixed[mesh.starts[face] : mesh.starts[face + 1]]], paints[face], index)
            return
        for face in faces.tolist():
            clipped = clip_frustum(points[mesh.starts[face] : mesh.starts[face + 1]], slope=self._slope)
            if len(clipped) > 2:
                self.canvas.polygon(self.camera.to_pixels(clipped), paints[face], index)


def local_axes(heading: float) -> Floats:
    """Rows are forward, left and up of something that faces `heading`.  [3, 3]"""
    sin, cos = np.sin(heading), np.cos(heading)
    return np.array([[sin, cos, 0.0], [-cos, sin, 0.0], [0.0, 0.0, 1.0]])


def _order(mesh: Mesh, faces: Indices, eye: Floats) -> Indices:
    """Back to front: lower solids first, of those beside each other the farther, details last."""
    beside = np.maximum(0.0, np.maximum(mesh.spans[:, 0] - eye[0], eye[0] - mesh.spans[:, 1]))
    solids = mesh.solids[faces]
    distance = np.linalg.norm(mesh.centres - eye, axis=1)[mesh.parents[faces]]
    return np.lexsort((faces, -distance, -beside[solids], mesh.levels[solids]))


def hull(points: Floats) -> Floats:
    """Convex hull of pixels [n, 2].  [m, 2]"""
    around = cv2.convexHull(points.astype(np.float32).reshape(-1, 1, 2))
    return np.asarray(around[:, 0], float)


Indices = NDArray[np.intp]
