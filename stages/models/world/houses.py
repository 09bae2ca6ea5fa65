"""Houses: walls with windows in rows, shop fronts, roofs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from stages.models.world.camera import NEAR_METRES, Floats
from stages.models.world.catalogue import Catalogue, jittered
from stages.models.world.classes import BUILDING
from stages.models.world.layout import Plot, plot_corners
from stages.models.world.solids import Colour
from stages.models.world.view import View

_LIT_WINDOW: Final = np.array([236.0, 196.0, 118.0])
_Shade = Callable[..., list[float]]  # a wall's colour in its light, by albedo and gain
_FINEST_PIXELS = 14.0  # walls lower than this in the picture have no windows


@dataclass(frozen=True, slots=True)
class _Style:
    floors: tuple[int, int]
    storey: float  # metres
    bay: float  # metres from window to window
    window: tuple[float, float]  # width and height, as shares of bay and storey
    ground: Literal["same", "shop", "arcade", "gate"]
    roof: Literal["flat", "gable", "mansard"]
    sheer: bool = False  # walls of glass


_STYLES: Final[dict[str, _Style]] = {
    "flats": _Style((4, 7), 3.0, 2.6, (0.46, 0.50), "same", "flat"),
    "shops": _Style((3, 5), 3.2, 2.8, (0.42, 0.56), "shop", "flat"),
    "house": _Style((2, 3), 2.9, 3.0, (0.38, 0.46), "same", "gable"),
    "offices": _Style((4, 8), 3.4, 3.2, (0.92, 0.48), "same", "flat"),
    "warehouse": _Style((2, 2), 3.6, 4.4, (0.60, 0.30), "gate", "flat"),
    "tower": _Style((8, 12), 3.5, 2.4, (0.90, 0.84), "same", "flat", sheer=True),
    "arcade": _Style((4, 5), 3.5, 3.0, (0.40, 0.58), "arcade", "flat"),
    "mansard": _Style((4, 6), 3.1, 2.5, (0.44, 0.60), "shop", "mansard"),
}


@dataclass(frozen=True, slots=True, eq=False)
class House:
    """A house on a plot."""

    plot: Plot
    style: _Style
    floors: int
    wall: Colour
    roof: Colour
    frame: Colour
    awning: Colour
    lit: NDArray[np.bool_]  # [n] of windows in turn, whether there is light behind them
    pale: NDArray[np.bool_]  # [n] ... whether they mirror the sky

    @property
    def height(self) -> float:
        return self.floors * self.style.storey + 0.6

    def footprint(self) -> Floats:
        return plot_corners(self.plot)

    def paint(self, view: View) -> None:
        corners = self.footprint()
        place = np.array([*self.plot.centre, 0.0])
        self._paint_roof(view, corners, place)
        for side in range(4):
            start, end = corners[side], corners[(side + 1) % 4]
            normal = np.array([end[1] - start[1], start[0] - end[0], 0.0])
            normal /= max(float(np.linalg.norm(normal)), 1e-9)
            if normal[:2] @ (view.origin[:2] - start) > 0.05:
                _paint_wall(view, self, start, end, normal, front=side == 0)

    def _paint_roof(self, view: View, corners: Floats, place: Floats) -> None:
        depth = max(float(view.to_camera(place[None])[0, 2]), 1.0)
        top = np.column_stack([corners, np.full(4, self.height)])
        if self.style.roof == "flat":
            if view.origin[2] > self.height:
                colour = view.veiled(view.lit(np.array(self.roof), np.array([0.0, 0.0, 1.0]), place), depth)
                view.polygon(top, colour.tolist(), BUILDING)
            return
        rise = 2.6 if self.style.roof == "gable" else 2.4
        inward = 0.5 if self.style.roof == "gable" else 0.16
        # corners 0, 1 are the front's, 2, 3 the back's: a ridge (or a smaller deck) between them
        ridge = np.stack([top[0] + (top[3] - top[0]) * inward, top[1] + (top[2] - top[1]) * inward,
                          top[2] + (top[1] - top[2]) * inward, top[3] + (top[0] - top[3]) * inward])  # fmt: skip
        ridge[:, 2] += rise
        slopes = [(0, 1), (2, 3), (1, 2), (3, 0)]
        for first, second in slopes:
            quad = np.stack([top[first], top[second], ridge[second], ridge[first]])
            normal = np.cross(quad[1] - quad[0], quad[2] - quad[1])
            length = float(np.linalg.norm(normal))
            if length < 1e-6 or normal @ (view.origin - quad[0]) <= 0:
                continue
            albedo = np.array(self.wall if abs(normal[2]) < 0.05 * length else self.roof)
            colour = view.veiled(view.lit(albedo, normal / length, place), depth)
            view.polygon(quad, colour.tolist(), BUILDING)


def draw_house(rng: np.random.Generator, catalogue: Catalogue, plot: Plot, *, lamps: bool) -> House:
    """A house of the catalogue's styles and colours."""
    style = _STYLES[str(rng.choice(catalogue.buildings))]
    frame = 232.0 if rng.random() < 0.6 else 70.0
    return House(
        plot, style, int(rng.integers(style.floors[0], style.floors[1] + 1)),
        jittered(rng, catalogue.walls, spread=20), jittered(rng, catalogue.roofs), (frame, frame, frame - 4),
        jittered(rng, catalogue.vehicle_paints), rng.random(97) < (0.45 if lamps else 0.02), rng.random(89) < 0.35,
    )  # fmt: skip


def _paint_wall(view: View, house: House, start: Floats, end: Floats, normal: Floats, *, front: bool) -> None:
    place = np.array([*(start + end) / 2, 1.0])
    outline = _on_wall(start, end, np.array([[0, 0], [1, 0], [1, house.height], [0, house.height]], float))
    points = view.to_camera(outline)
    if not view.camera.sees(points):
        return
    depth = max(float(points[:, 2].mean()), 2.0)

    veil = view.climate.veil(depth)
    light = view.lit(np.ones(3), normal, place) * (1 - veil)
    fog = view.climate.horizon * veil

    def shade(colour: Colour | Floats, brightness: float = 1.0) -> list[float]:
        shares = zip(colour, light.tolist(), fog.tolist(), strict=True)
        return [min(float(channel) * brightness * lit + grey, 255.0) for channel, lit, grey in shares]

    view.polygon(outline, shade(house.wall), BUILDING)
    if view.camera.focal * house.height / depth < _FINEST_PIXELS:
        return
    _paint_windows(view, house, start, end, shade, depth)
    bands = [(house.height - 0.45, house.height, 0.84), (0.0, 0.5, 0.72)]
    for low, high, gain in bands:
        _quads(view, _on_wall(start, end, _rectangles(np.array([0.0]), np.array([1.0]), low, high)),
               shade(house.wall, gain))  # fmt: skip
    if front:
        _paint_ground_floor(view, house, start, end, shade)


def _paint_windows(view: View, house: House, start: Floats, end: Floats, shade: _Shade, depth: float) -> None:
    style, length = house.style, float(np.hypot(*(end - start)))
    count = max(1, int(length / style.bay))
    first = 0 if style.ground == "same" else 1
    middles = (np.arange(count) + 0.5) / count
    half = style.window[0] / (2 * count)
    low = (0.54 - style.window[1] / 2) * style.storey
    row = _rectangles(middles - half, middles + half, low, low + style.window[1] * style.storey)
    floors = np.arange(first, house.floors)[:, None, None, None] * np.array([0.0, style.storey])
    panes = (row[None] + floors).reshape(-1, 4, 2)
    if not style.sheer and view.camera.focal * style.storey / depth > 26:
        grown = panes + np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array([0.09 / length, 0.09])
        _quads(view, _on_wall(start, end, grown), shade(house.frame, 0.9))
    quads = _on_wall(start, end, panes)
    lit = np.resize(house.lit, len(panes))
    pale = np.resize(house.pale, len(panes)) & ~lit
    glass = np.array((62.0, 74.0, 88.0))
    sky = 0.5 * view.climate.zenith + 0.25 * glass
    _quads(view, quads[~lit & ~pale], shade(glass))
    _quads(view, quads[pale], shade(glass * 0.55 + sky * 0.5))
    _quads(view, quads[lit], view.veiled(_LIT_WINDOW / view.climate.exposure, depth).tolist())


def _paint_ground_floor(view: View, house: House, start: Floats, end: Floats, shade: _Shade) -> None:
    style, length = house.style, float(np.hypot(*(end - start)))
    if style.ground in ("same", "gate"):
        half = (0.6 if style.ground == "same" else 1.6) / length
        height = 2.2 if style.ground == "same" else 3.0
        door = _rectangles(np.array([0.5 - half]), np.array([0.5 + half]), 0.0, height)
        _quads(view, _on_wall(start, end, door), shade(house.awning, 0.7))
        return
    count = max(1, int(length / 3.6))
    middles, half = (np.arange(count) + 0.5) / count, 0.42 / count
    if style.ground == "arcade":
        angle = np.linspace(0, np.pi, 7)
        arch = np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.array([half, 0.9]) + np.array([0.0, 2.0])
        outline = np.concatenate([[[-half, 0.0], [half, 0.0]], arch])
        arches = outline[None] + np.stack([middles, np.zeros(count)], axis=1)[:, None]
        _quads(view, _on_wall(start, end, arches), shade((48.0, 46.0, 48.0)))
        return
    front = _rectangles(middles - half, middles + half, 0.45, 2.5)
    _quads(view, _on_wall(start, end, front), shade((70.0, 78.0, 84.0)) if not house.lit.mean() > 0.2
           else view.veiled(_LIT_WINDOW / view.climate.exposure, 5.0).tolist())  # fmt: skip
    _quads(view, _on_wall(start, end, _rectangles(np.array([0.02]), np.array([0.98]), 2.55, 3.1)), shade(house.awning))


def _rectangles(left: Floats, right: Floats, low: float, high: float) -> Floats:
    """Rectangles on a wall: share of its length, metres of height.  [n, 4, 2]"""
    spots = np.empty((len(left), 4, 2))
    spots[:, 0, 0] = spots[:, 3, 0] = left
    spots[:, 1, 0] = spots[:, 2, 0] = right
    spots[:, :2, 1], spots[:, 2:, 1] = low, high
    return spots


def _on_wall(start: Floats, end: Floats, spots: Floats) -> Floats:
    """World points of spots (share of the length, height) on a wall.  [..., 2] -> [..., 3]"""
    points = np.empty((*spots.shape[:-1], 3))
    points[..., :2] = start + (end - start) * spots[..., :1]
    points[..., 2] = spots[..., 1]
    return points


def _quads(view: View, quads: Floats, colour: list[float]) -> None:
    """Small polygons [n, k, 3] of one colour; those not wholly in front of the camera are left out."""
    if not len(quads):
        return
    points = view.to_camera(quads)
    seen = points[..., 2].min(axis=1) > NEAR_METRES
    if seen.any():
        view.canvas.many(list(view.canvas.fixed(view.camera.to_pixels(points[seen]))), colour, BUILDING)
