"""The ground: land, pavements, carriageways and what is painted on them; then its texture, shadows, wetness and fog."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.models.world import noise
from stages.models.world.camera import NEAR_METRES, Floats
from stages.models.world.catalogue import Catalogue, jittered
from stages.models.world.classes import PAVEMENT, ROAD
from stages.models.world.layout import Layout
from stages.models.world.roads import Road
from stages.models.world.view import View

GRASS: Final = 6  # index on the canvas of land that is green; it counts as vegetation, but takes shadows as ground does
_GROUND_INDICES: Final = (ROAD, PAVEMENT, GRASS)
_LAND_METRES = 320.0
_TILE_METRES = 14.0
_LAMPS_WITHIN_METRES = 90.0
_SHADOW_SOFTNESS_PIXELS = 3
_UP: Final = np.array([0.0, 0.0, 1.0])
_SNOW: Final = np.array([232.0, 236.0, 242.0])
_MARK_HALF_METRES = 0.07


@dataclass(frozen=True, slots=True, eq=False)
class GroundLook:
    """Colours of the ground, and of what is painted on it."""

    asphalt: Floats  # [3]
    paving: Floats
    grass: Floats
    kerb: Floats
    paint: Floats
    cycle_strip: Floats
    roughness: float
    paved_land: bool


def draw_ground_look(rng: np.random.Generator, catalogue: Catalogue, *, snow: float, grass: bool) -> GroundLook:
    """Colours of the catalogue, under snow as the weather has it."""
    asphalt = np.array(jittered(rng, catalogue.asphalts, spread=8))
    paving = np.array(jittered(rng, catalogue.pavings, spread=10))
    lawn = np.array(jittered(rng, catalogue.grasses, spread=12))
    strip = asphalt + (np.array([150.0, 72.0, 60.0]) - asphalt) * (0.4 if rng.random() < 0.35 else 0.0)

    def snowed(colour: Floats, share: float) -> Floats:
        covered: Floats = colour + (_SNOW - colour) * snow * share
        return covered

    return GroundLook(
        snowed(asphalt, 0.38), snowed(paving, 0.85), snowed(lawn, 0.95), snowed(paving * 1.08, 0.7),
        snowed(np.array([226.0, 226.0, 220.0]), 0.2), snowed(strip, 0.4), float(rng.uniform(0.03, 0.075)), not grass,
    )  # fmt: skip


def paint_ground(view: View, layout: Layout, look: GroundLook) -> None:
    """Paints all flat colours of the ground; `relief` comes after, and then what stands on it."""

    def lit(colour: Floats) -> list[float]:
        shaded: list[float] = np.clip(view.lit(colour, _UP, np.full(3, 1e6)), 0, 255).tolist()
        return shaded

    span = _LAND_METRES * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float) + view.origin[:2]
    land, index = (look.paving * 0.94, PAVEMENT) if look.paved_land else (look.grass, GRASS)
    view.polygon(_flat(span), lit(land), index)
    for road in layout.roads:
        if road.verge:
            _band(view, road, -road.reach, road.reach, lit(look.grass), GRASS)
        for way in (-1, 1):
            inner, outer = road.half_width + road.verge, road.reach
            _band(view, road, way * inner, way * outer, lit(look.paving), PAVEMENT)
    for road in layout.roads:
        edge = road.half_width + 0.18
        for way in (-1, 1):
            _band(view, road, way * road.half_width, way * edge, lit(look.kerb), PAVEMENT)
    for road in layout.roads:
        _band(view, road, -road.half_width, road.half_width, lit(look.asphalt), ROAD)
    if len(layout.roads) == 2:
        _corners(view, layout, lit(look.asphalt))
    for road in layout.roads:
        _markings(view, layout, road, lit(look.paint), lit(look.cycle_strip))
    _zebras(view, layout, lit(look.paint))
    for road in layout.roads:
        if road.verge:
            for other, position in layout.zebras:
                if other is road:
                    _verge_gap(view, road, position, lit(look.paving))


def _flat(points: Floats) -> Floats:
    """Ground points [..., 2] as world points [..., 3]."""
    return np.concatenate([points, np.zeros((*points.shape[:-1], 1))], axis=-1)


def _band(view: View, road: Road, left: float, right: float, colour: list[float], index: int) -> None:
    view.polygon(_flat(road.band(left, right, -95.0, 240.0 if abs(road.curvature) < 1e-6 else 130.0)), colour, index)
    if abs(road.curvature) < 1e-6 and road.heading:
        view.polygon(_flat(road.band(left, right, -240.0, -95.0)), colour, index)


def _verge_gap(view: View, road: Road, position: float, colour: list[float]) -> None:
    for way in (-1, 1):
        near, far = way * (road.half_width + 0.18), way * (road.half_width + road.verge)
        view.polygon(_flat(road.band(near, far, position - 2.2, position + 2.2)), colour, PAVEMENT)


def _corners(view: View, layout: Layout, colour: list[float]) -> None:
    """Rounds the kerbs where two straight roads cross."""
    main, side = layout.roads
    radius = layout.corner_radius
    angle = np.linspace(0, np.pi / 2, 7)
    for east in (-1, 1):
        for north in (-1, 1):
            corner = np.array([east * main.half_width, north * side.half_width])
            away = np.array([east, north]) * radius
            arc = corner + away * (1 - np.stack([np.sin(angle), np.cos(angle)], axis=1))
            inside = corner - 0.2 * away
            view.polygon(_flat(np.concatenate([inside[None], arc])), colour, ROAD)


def _markings(view: View, layout: Layout, road: Road, paint: list[float], strip: list[float]) -> None:
    keep_off = next((other.half_width + 7.0 for other in layout.roads if other is not road), 0.0)
    half, lanes = _MARK_HALF_METRES, road.lanes
    stretches = [(road.first, -keep_off), (keep_off, road.last)] if keep_off else [(road.first, road.last)]
    edge = road.half_width - 1.5
    for first, last in stretches:
        for way in (-1, 1):
            outline = road.band(way * edge, way * (road.half_width - 0.05), first, last)
            view.polygon(_flat(outline), strip, ROAD)
            view.polygon(_flat(road.band(way * (edge - half), way * (edge + half), first, last)), paint, ROAD)
        for line in range(-lanes + 1, lanes):
            along = np.arange(first + 1.0, last - 4.0, 6.0 if line else 4.5)
            if not line and lanes > 1:
                view.polygon(_flat(road.band(-half, half, first, last)), paint, ROAD)
                continue
            aside = line * road.lane_width
            _quads(view, _dashes(road, along, aside - half, aside + half, 3.0 if line else 2.4), paint)
    for other, position in layout.zebras:
        if other is road:
            _stop_lines(view, road, position, paint)


def _dashes(road: Road, along: Floats, left: float, right: float, length: float) -> Floats:
    """[n, 4, 2]"""
    ends = along + length
    corners = [road.points(at, aside) for at, aside in ((along, left), (ends, left), (ends, right), (along, right))]
    return np.stack(corners, axis=1)


def _stop_lines(view: View, road: Road, position: float, paint: list[float]) -> None:
    for way in (-1, 1):
        if position * way > 0.5 * road.half_width + 3.0:
            continue  # beyond the crossing, where nobody stops
        ends = sorted((position - way * 2.7, position - way * 3.1))
        line = road.band(way * 0.1, way * (road.half_width - 1.5), ends[0], ends[1])
        view.polygon(_flat(line), paint, ROAD)


def _zebras(view: View, layout: Layout, paint: list[float]) -> None:
    for road, position in layout.zebras:
        count = max(2, int(road.half_width))
        middles = (np.arange(2 * count) - count + 0.5) * (road.half_width / count)
        bars = [road.band(aside - 0.26, aside + 0.26, position - 1.7, position + 1.7) for aside in middles]
        _quads(view, np.stack([bar[[0, len(bar) // 2 - 1, len(bar) // 2, -1]] for bar in bars]), paint)


def _quads(view: View, quads: Floats, colour: list[float]) -> None:
    points = view.to_camera(_flat(quads))
    seen = points[..., 2].min(axis=1) > NEAR_METRES
    if seen.any():
        view.canvas.many(list(view.canvas.fixed(view.camera.to_pixels(points[seen]))), colour, ROAD)


@cache
def _is_ground() -> NDArray[np.float32]:
    table = np.zeros(256, np.float32)
    table[list(_GROUND_INDICES)] = 1.0
    return table


@cache
def _grain(seed: int) -> NDArray[np.float32]:
    """A tile of ground texture: patches and grains."""
    mixed = 0.6 * noise.fractal(1.1) + 0.5 * noise.fractal(0.5) + 0.3 * np.roll(noise.fractal(1.7), seed, axis=0)
    return np.asarray(np.clip(mixed, -3.0, 3.0), np.float32)


def relief(
    picture: NDArray[np.float32], view: View, indices: NDArray[np.uint8], shadows: NDArray[np.uint8],
    headlights: NDArray[np.uint8], look: GroundLook,
) -> None:  # fmt: skip
    """Gives the bare ground in a picture [H, W, 3] its texture, shadows, lamplight, wetness and fog, in place.

    shadows and headlights are maps over the picture, 0..255.
    """
    top = _horizon_row(view)
    if top >= view.camera.height:
        return
    rows = slice(top, view.camera.height)
    climate, depth, warped = view.climate, _ground_depth(view, top), _warped_grain(view, top)
    soft = cv2.blur(shadows, (_SHADOW_SOFTNESS_PIXELS, _SHADOW_SOFTNESS_PIXELS))[rows]
    gain = (1.0 + warped * (look.roughness * np.exp(depth * (-1 / 38.0)))) * (1.0 - soft * np.float32(1 / 255.0))
    added = np.zeros_like(gain)  # share of the horizon's colour that comes on top: wet sheen, then fog
    if climate.wetness:
        sheen = climate.wetness * (0.10 + 0.34 * (1 - np.exp(depth * (-1 / 28.0)))) * (1 + 0.4 * np.clip(warped, -1, 1))
        gain *= (1 - 0.28 * climate.wetness) * (1 - sheen)
        added += 0.8 * sheen
    veil = 1 - np.exp(depth * np.float32(-climate.fog))
    ground = _is_ground()[indices[rows]]
    gain, added = gain * (1 - veil), added * (1 - veil) + veil
    factor = _thrice(1.0 + ground * (gain - 1.0))
    if climate.lamps:
        lamplit = _lamp_gain(view, top, depth, headlights[rows])
        factor *= 1.0 + _thrice(ground) * (lamplit - 1.0)
    added *= ground
    part = picture[rows]
    part *= factor
    part += cv2.merge([added * np.float32(channel) for channel in climate.horizon])


def _thrice(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """[h, W] -> [h, W, 3], as arithmetic with colours is several times faster without broadcasting."""
    return np.asarray(cv2.merge([np.asarray(plane, np.float32)] * 3))


def _horizon_row(view: View) -> int:
    camera = view.camera
    sides = np.array([0.0, camera.width])
    slope = view.rotation
    # Rows where the ray's world z is 0, at the left and the right edge.
    across = (sides - camera.width / 2) / camera.focal
    row = -(slope[0, 2] * across + slope[2, 2]) / slope[1, 2] * camera.focal + camera.height / 2
    return int(np.clip(np.floor(row.min()), 0, camera.height))


def _ground_depth(view: View, top: int) -> NDArray[np.float32]:
    """Depth along the camera's axis of the ground at each pixel from row `top` on.  [H - top, W]"""
    camera, turn = view.camera, view.rotation
    across = (np.arange(camera.width, dtype=np.float32) + 0.5 - camera.width / 2) / camera.focal
    down = (np.arange(top, camera.height, dtype=np.float32) + 0.5 - camera.height / 2) / camera.focal
    falling = -(turn[0, 2] * across[None, :] + turn[1, 2] * down[:, None] + turn[2, 2])
    return np.asarray(view.origin[2] / np.maximum(falling, view.origin[2] / 600.0), np.float32)


def _warped_grain(view: View, top: int) -> NDArray[np.float32]:
    """The texture tile laid on the ground and seen by the camera."""
    camera = view.camera
    tile = _grain(97)
    size = tile.shape[0]
    turn = view.rotation
    intrinsic = np.array([[camera.focal, 0, camera.width / 2], [0, camera.focal, camera.height / 2 - top], [0, 0, 1]])
    ground_to_camera = np.column_stack([turn[:, 0], turn[:, 1], -turn @ view.origin])
    metres_per_texel = np.diag([_TILE_METRES / size, _TILE_METRES / size, 1.0])
    homography = np.linalg.inv(intrinsic @ ground_to_camera @ metres_per_texel)
    warped = cv2.warpPerspective(
        tile, homography, (camera.width, camera.height - top),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_WRAP,
    )  # fmt: skip
    return np.asarray(warped, np.float32)


def _lamp_gain(view: View, top: int, depth: NDArray[np.float32], headlights: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What street lamps and head lights add to the ambient light of the ground.  [h, W, 3]"""
    camera, turn = view.camera, view.rotation
    coarse = 4
    small = depth[::coarse, ::coarse]
    across = (np.arange(0, camera.width, coarse, dtype=np.float32) + 0.5 - camera.width / 2) / camera.focal
    down = (np.arange(top, camera.height, coarse, dtype=np.float32) + 0.5 - camera.height / 2) / camera.focal
    east = view.origin[0] + small * (turn[0, 0] * across[None] + turn[1, 0] * down[:, None] + turn[2, 0])
    north = view.origin[1] + small * (turn[0, 1] * across[None] + turn[1, 1] * down[:, None] + turn[2, 1])
    light = np.zeros_like(small)
    for head in view.lamps[np.hypot(*(view.lamps[:, :2] - view.origin[:2]).T) < _LAMPS_WITHIN_METRES]:
        light += 1.0 / (1.0 + ((east - head[0]) ** 2 + (north - head[1]) ** 2) / 36.0) ** 2
    light = np.asarray(cv2.resize(light, (camera.width, camera.height - top), interpolation=cv2.INTER_LINEAR))
    ambient = max(float(view.climate.ambient_gain.mean()), 0.05)
    beams = cv2.blur(headlights, (5, 5)).astype(np.float32) / 255.0
    light = np.minimum(light, 0.85)
    warm, white = (0.62 / ambient, 0.50 / ambient, 0.34 / ambient), (0.60 / ambient, 0.58 / ambient, 0.50 / ambient)
    return np.asarray(cv2.merge([1.0 + light * w + beams * b for w, b in zip(warm, white, strict=True)]), np.float32)
