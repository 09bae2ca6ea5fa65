"""The sky, and the skyline of far houses and trees below it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.models.world import noise
from stages.models.world.camera import Floats
from stages.models.world.catalogue import Catalogue, jittered
from stages.models.world.classes import BUILDING, SKY, VEGETATION
from stages.models.world.view import View

_FAR_METRES = 260.0
_CLOUD_PIXELS_PER_RADIAN = 230.0


@dataclass(frozen=True, slots=True, eq=False)
class Skyline:
    """Silhouettes around the horizon: polygons in (bearing, elevation), radians."""

    outlines: tuple[Floats, ...]  # each [n, 2]
    colours: Floats  # [n, 3]
    indices: tuple[int, ...]
    cloud_offset: tuple[int, int]


def draw_skyline(rng: np.random.Generator, catalogue: Catalogue) -> Skyline:
    """Far houses and trees all around."""
    outlines, colours, indices = [], [], []
    bearing = 0.0
    while bearing < 2 * np.pi:
        if rng.random() < 0.55:
            width, tall = rng.uniform(0.03, 0.10), rng.uniform(0.03, 0.10)
            outline = np.array([(0, -0.05), (0, tall), (width, tall), (width, -0.05)])
            colours.append(jittered(rng, catalogue.walls))
            indices.append(BUILDING)
        else:
            width, tall = rng.uniform(0.08, 0.25), rng.uniform(0.02, 0.055)
            along = np.linspace(0, 1, 12)
            bumps = tall * (0.7 + 0.3 * np.sin(along * rng.uniform(9, 22) + rng.uniform(0, 6)))
            top = np.stack([along * width, bumps * np.sqrt(np.sin(np.pi * np.clip(along, 0.04, 0.96)))], axis=1)
            outline = np.concatenate([top, [(width, -0.05), (0, -0.05)]])
            colours.append(jittered(rng, catalogue.leaves, darker=0.9))
            indices.append(VEGETATION)
        outlines.append(outline + np.array([bearing, 0.0]))
        bearing += width * rng.uniform(0.6, 1.0)
    shift = (int(rng.integers(512)), int(rng.integers(512)))
    return Skyline(tuple(outlines), np.array(colours), tuple(indices), shift)


def paint_sky(view: View) -> None:
    """Fills the whole canvas with the gradient from the horizon to the zenith."""
    camera, climate, samples = view.camera, view.climate, view.canvas.samples
    down = ((np.arange(samples.shape[0]) + 0.5) / view.canvas.supersample - camera.height / 2) / camera.focal
    elevation = np.arctan(-down) - camera.pitch
    share = np.clip(elevation / 0.75, 0.0, 1.0)[:, None] ** 0.7
    colours = climate.horizon + (climate.zenith - climate.horizon) * share
    paints = np.column_stack([np.clip(colours, 0, 255), np.full(len(colours), SKY)]).astype(np.uint8)
    samples.view(np.uint32)[..., 0] = paints.view(np.uint32)  # four channels at once


def paint_skyline(view: View, skyline: Skyline) -> None:
    """Paints the silhouettes in front of the sky; the land hides their feet."""
    half_view = np.arctan(0.5 * view.camera.width / view.camera.focal) + 0.3
    lit = view.lit(skyline.colours, np.array([0.0, 0.0, 0.3]), np.full(3, 1e6))
    far = min(_FAR_METRES, 1.1 * view.climate.visibility_metres)
    colours = view.veiled(lit, far)
    for outline, colour, index in zip(skyline.outlines, colours.tolist(), skyline.indices, strict=True):
        offset = (outline[:, 0].mean() - view.camera.yaw + np.pi) % (2 * np.pi) - np.pi
        if abs(offset) > half_view:
            continue
        east, north = np.sin(outline[:, 0]), np.cos(outline[:, 0])
        rays = np.stack([east, north, np.tan(outline[:, 1])], axis=1) @ view.rotation.T
        if rays[:, 2].min() > 0.2:
            view.canvas.polygon(view.camera.to_pixels(rays), colour, index)


def clouds(picture: NDArray[np.float32], view: View, indices: NDArray[np.uint8], skyline: Skyline) -> None:
    """Lays clouds over the sky of a picture [H, W, 3], in place; they move with the camera's bearing."""
    strength = view.climate.cloud
    rows = np.flatnonzero((indices == SKY).any(axis=1))
    if strength < 0.03 or not len(rows):
        return
    bottom = int(rows[-1]) + 1
    camera = view.camera
    tile = noise.fractal(1.55)
    per_pixel = _CLOUD_PIXELS_PER_RADIAN / camera.focal
    columns = (np.arange(camera.width) - camera.width / 2) * per_pixel + camera.yaw * _CLOUD_PIXELS_PER_RADIAN
    lines = (np.arange(bottom) - camera.height / 2) * per_pixel * 2.2 + camera.pitch * _CLOUD_PIXELS_PER_RADIAN * 2.2
    size = tile.shape[0]
    across = (np.floor(columns).astype(int) + skyline.cloud_offset[0]) % size
    down = (np.floor(lines).astype(int) + skyline.cloud_offset[1]) % size
    cover = np.clip(0.5 + 0.5 * tile[down[:, None], across[None, :]], 0.0, 1.0) * np.float32(strength)
    cover *= indices[:bottom] == SKY
    white = np.minimum(view.climate.horizon * 1.08 + 8, 250).astype(np.float32)
    part = picture[:bottom]
    part += (white - part) * cover[..., None]
