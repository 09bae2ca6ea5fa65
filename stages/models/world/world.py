"""A street world by seed: it renders itself with the exact truth, and moves on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

import numpy as np

from stages.models.world.camera import Floats
from stages.models.world.catalogue import CATALOGUES, Split
from stages.models.world.frame import WorldFrame
from stages.models.world.rendering import render
from stages.models.world.scene import Wishes, draw_scene
from stages.models.world.sensor import Quality, draw_sensor
from stages.models.world.traffic import Crowd, Traffic, draw_crowd

_SPLIT_SALT: dict[Split, int] = {"train": 1, "unseen": 2}
_FARTHEST_SOUGHT_METRES = 55.0
_SMALLEST_SOUGHT_PIXELS = 0.05  # of the height of the picture


class World:
    """A procedural street with people, bicycles, cars, buses and trucks, seen by one camera.

    The same seed, split and size give the same bytes.  Worlds of the split "unseen" draw their palettes, shapes,
    cameras, light, weather and layouts from sets that "train" never draws from: see
    `stages.models.world.catalogue` for what is held out.

    Args:
        seed: which world; not negative.
        split: "train" or "unseen".
        width, height: size of the picture in pixels.
        fps: frames a second, for `frames`.
        moving_camera: whether the camera pans, drives or shakes; None leaves it to chance (about one in three does).
        supersample: samples a pixel across; 1 is faster and has jagged edges.
        quality: "varied" has the exposure, blur, noise and compression of street cameras, "clean" those of a good one.
        wishes: what of the scene is settled beforehand (its `moving_camera` gives way to the argument above).
        crowd: how many are on the street; None leaves it to chance.

    Raises:
        ValueError: for a negative seed, an unknown split, or a size below 32 pixels.
    """

    def __init__(
        self,
        seed: int,
        *,
        split: Split = "train",
        width: int = 512,
        height: int = 288,
        fps: float = 12.5,
        moving_camera: bool | None = None,
        supersample: int = 2,
        quality: Quality = "varied",
        wishes: Wishes | None = None,
        crowd: Crowd | None = None,
    ) -> None:
        _check(seed, split, width, height, fps, supersample)
        rng = np.random.Generator(np.random.PCG64([seed, _SPLIT_SALT[split]]))
        catalogue = CATALOGUES[split]
        wishes = wishes or Wishes()
        if moving_camera is not None:
            wishes = replace(wishes, moving_camera=moving_camera)
        self.seed, self.split, self.width, self.height, self.fps = seed, split, width, height, fps
        self.supersample = supersample
        self.scene = draw_scene(rng, catalogue, wishes)
        self.sensor = draw_sensor(rng, self.scene.climate, quality)
        drawn = draw_crowd(rng)
        self.traffic = Traffic(
            rng, catalogue, self.scene.layout, crowd or drawn, lamps=self.scene.climate.lamps, sought=self._sought
        )

    @property
    def seconds(self) -> float:
        """How far the world has moved since its beginning."""
        return self.traffic.seconds

    def render(self) -> WorldFrame:
        """The frame at the current time; the same frame when called again."""
        camera = self.scene.viewpoint.at(self.seconds, width=self.width, height=self.height)
        rng = np.random.Generator(np.random.PCG64([self.seed, _SPLIT_SALT[self.split], round(self.seconds * 1e6)]))
        return render(self.scene, self.traffic, camera, self.sensor, rng, supersample=self.supersample)

    def step(self, seconds: float) -> None:
        """Moves everything on.

        Raises:
            ValueError: for a time that is not positive.
        """
        if not seconds > 0:
            raise ValueError(f"seconds must be more than 0, got {seconds}")
        self.traffic.step(seconds)

    def frames(self, count: int) -> Iterator[WorldFrame]:
        """The current frame and those that follow it, 1 / fps seconds apart; the world moves with them."""
        for number in range(count):
            if number:
                self.step(1 / self.fps)
            yield self.render()

    def _sought(self, place: Floats, tall: float) -> bool:
        """Whether something so high at a place [2] would be seen well at the beginning."""
        camera = self.scene.viewpoint.at(0.0, width=self.width, height=self.height)
        point = camera.to_camera(np.array([place[0], place[1], tall / 2]))
        if not 3.5 < point[2] < _FARTHEST_SOUGHT_METRES:
            return False
        if camera.focal * tall / float(point[2]) < _SMALLEST_SOUGHT_PIXELS * self.height:
            return False
        x, y = camera.to_pixels(point)
        return bool(0.03 * self.width < x < 0.97 * self.width and 0.05 * self.height < y < 0.92 * self.height)

    def __repr__(self) -> str:
        climate = self.scene.climate
        return (
            f"World(seed={self.seed}, split={self.split!r}, {self.width}x{self.height}, {self.scene.layout.kind}, "
            f"{climate.light}, {climate.weather}, {len(self.traffic.actors)} actors)"
        )


def _check(seed: int, split: str, width: int, height: int, fps: float, supersample: int) -> None:
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    if split not in CATALOGUES:
        raise ValueError(f"split must be one of {get_args(Split)}, got {split!r}")
    if min(width, height) < 32:
        raise ValueError(f"width and height must be at least 32 pixels, got {width}x{height}")
    if not fps > 0:
        raise ValueError(f"fps must be more than 0, got {fps}")
    if supersample not in (1, 2, 3, 4):
        raise ValueError(f"supersample must be 1, 2, 3 or 4, got {supersample}")
