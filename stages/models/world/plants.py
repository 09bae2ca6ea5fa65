"""Trees and hedges: a trunk, and a crown cut out of noise and shaded from the side the light comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.models.world import noise
from stages.models.world.camera import Floats
from stages.models.world.catalogue import Catalogue, jittered
from stages.models.world.classes import VEGETATION
from stages.models.world.solids import Colour
from stages.models.world.view import View

_SIDE_PIXELS: Final = 112
_BRIGHTNESS: Final = np.arange(256) / 128.0
_BARK: Final[Colour] = (84.0, 68.0, 54.0)


@dataclass(frozen=True, slots=True, eq=False)
class Foliage:
    """A crown as a picture: how bright it is, and where there are leaves."""

    brightness: NDArray[np.uint8]  # [n, n] 128 is 1, 0 is where there are no leaves


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """A tree of one family."""

    place: Floats  # [3]
    tall: float
    crown: float  # width
    clear: float  # height of the lowest leaves
    leaves: Colour
    foliage: Foliage

    def footprint(self) -> Floats:
        """[4, 2] of the trunk"""
        half = 0.2
        corners = np.array([(half, -half), (half, half), (-half, half), (-half, -half)])
        footprint: Floats = self.place[:2] + corners
        return footprint

    def paint(self, view: View) -> None:
        points = view.to_camera(self.place + np.array([(0, 0, 0), (0, 0, self.clear + 0.3), (0, 0, self.tall)], float))
        if points[:, 2].min() < 1.5:
            return
        foot, fork, top = view.camera.to_pixels(points)
        scale = view.camera.focal / float(points[1, 2])
        depth = float(points[1, 2])
        albedo = np.array([_BARK, self.leaves])
        bark, leaves = view.veiled(view.lit(albedo, np.array([0.0, 0.0, 0.6]), self.place), depth)
        view.canvas.bar(np.stack([foot, fork]), max(0.3 * scale, 1.0), bark.tolist(), VEGETATION)
        half = self.crown * scale / 2
        middle = (fork + top) / 2
        tall = max(float(fork[1] - top[1]), 2.0) / 2
        box = (middle[0] - half, middle[1] - tall, middle[0] + half, middle[1] + tall)
        veil = view.climate.veil(depth)
        fog = view.climate.horizon * veil
        paints = np.empty((256, 4), np.uint8)
        paints[:, :3] = np.clip(_BRIGHTNESS[:, None] * (leaves - fog) + fog, 0, 255)
        paints[:, 3] = VEGETATION
        paints[0] = 0
        samples = np.take(paints.view(np.uint32)[:, 0], self.foliage.brightness)  # all four channels at once
        view.canvas.sprite(samples.view(np.uint8).reshape(*samples.shape, 4), box)


_SHAPES: Final[dict[str, tuple[float, float, float, float]]] = {
    # height and width in metres, height of the lowest leaves, roundness (0 a cone, 1 a ball)
    "round": (7.0, 5.4, 2.2, 1.0),
    "oval": (8.6, 4.6, 2.4, 0.9),
    "conifer": (9.0, 4.4, 0.8, 0.0),
    "poplar": (12.0, 2.8, 1.4, 0.75),
    "plane": (8.0, 6.6, 2.7, 1.0),
    "cypress": (8.0, 2.0, 0.5, 0.35),
}


def draw_foliage(rng: np.random.Generator, family: str) -> Foliage:
    """A crown of a family."""
    rough = noise.cut(noise.fractal(1.0), rng, height=_SIDE_PIXELS, width=_SIDE_PIXELS)
    fine = noise.cut(noise.fractal(0.45), rng, height=_SIDE_PIXELS, width=_SIDE_PIXELS)
    across = np.linspace(-1, 1, _SIDE_PIXELS, dtype=np.float32)[None, :]
    up = np.linspace(1, -1, _SIDE_PIXELS, dtype=np.float32)[:, None]
    roundness = _SHAPES[family][3]
    ball = across**2 + up**2
    cone = np.abs(across) * 1.05 + np.maximum(up, -0.92) * 0.5 + 0.45
    distance = roundness * ball + (1 - roundness) * cone**2
    leafy = distance + 0.17 * rough + 0.13 * fine < 0.78
    brightness = 1.0 + 0.13 * rough + 0.10 * fine + 0.24 * up - 0.10 * across
    mask = cv2.medianBlur((leafy * 255).astype(np.uint8), 3)
    return Foliage(np.where(mask > 0, np.clip(128 * brightness, 40, 220), 0).astype(np.uint8))


def draw_tree(rng: np.random.Generator, catalogue: Catalogue, family: str, foliage: Foliage, spot: Floats) -> Tree:
    """A tree at a spot [2]."""
    tall, crown, clear, _ = _SHAPES[family]
    size = rng.uniform(0.75, 1.2)
    place = np.array([spot[0], spot[1], 0.0])
    return Tree(place, tall * size, crown * size, clear * min(size, 1.0), jittered(rng, catalogue.leaves), foliage)
