"""Soft bodies made of limbs: each piece is the outline around a few balls at the joints of a skeleton.

People and what they carry are drawn so: the balls are projected, and the convex outline of each piece is painted, the
farthest piece first.  Local axes: x forward, y left, z up, metres, the ground at z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from stages.models.world.camera import NEAR_METRES, Floats
from stages.models.world.solids import Colour
from stages.models.world.view import View, local_axes

_ANGLES = np.linspace(0, 2 * np.pi, 10, endpoint=False)
_RING: Final = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_ROUNDED_FROM_PIXELS = 56.0  # from this height on a piece has a lit and a shaded side


@dataclass(slots=True)
class Figure:
    """Pieces to be drawn, each a group of balls (a point and a radius) with one colour."""

    centres: list[Floats] = field(default_factory=list)
    radii: list[float] = field(default_factory=list)
    pieces: list[tuple[int, int]] = field(default_factory=list)  # first ball and the one after the last
    colours: list[Colour] = field(default_factory=list)
    nearer: list[float] = field(default_factory=list)  # metres by which a piece is drawn as if it were nearer

    def piece(self, colour: Colour, *balls: tuple[Floats, float], nearer: float = 0.0) -> None:
        """The convex outline around balls: one is a disc, two a limb, four a trunk."""
        start = len(self.centres)
        for centre, radius in balls:
            self.centres.append(centre)
            self.radii.append(radius)
        self.pieces.append((start, len(self.centres)))
        self.colours.append(colour)
        self.nearer.append(nearer)


def paint_figure(view: View, figure: Figure, place: Floats, heading: float, index: int, *, sunny: float) -> None:
    """Paints a figure that stands at `place` [3] and faces `heading`; not one that is partly behind the camera."""
    turn = local_axes(heading)
    points = view.to_camera(np.array(figure.centres) @ turn + place)
    if points[:, 2].min() < 2 * NEAR_METRES:
        return
    scale = view.camera.focal / points[:, 2]
    middles = view.camera.to_pixels(points)
    radii = np.maximum(np.array(figure.radii) * scale, 0.28)
    outlines = middles[:, None] + _RING * radii[:, None, None]
    middle_depths = [points[start:end, 2].mean() for start, end in figure.pieces]
    depths = np.array(middle_depths) - np.array(figure.nearer)
    colours = _colours(view, figure, place, float(points[:, 2].mean()), sunny)
    tall = float(np.ptp(middles[:, 1]))
    light = _light_offset(view) if tall >= _ROUNDED_FROM_PIXELS else None
    for piece in np.argsort(-depths, kind="stable").tolist():
        start, end = figure.pieces[piece]
        view.canvas.hull(outlines[start:end].reshape(-1, 2), colours[0][piece], index)
        if light is not None:
            balls = middles[start:end, None] + (_RING * 0.62 + 0.3 * light) * radii[start:end, None, None]
            view.canvas.hull(balls.reshape(-1, 2), colours[1][piece], index)


def _colours(
    view: View, figure: Figure, place: Floats, depth: float, sunny: float
) -> tuple[list[list[float]], list[list[float]]]:
    """The shaded and the lit colour of each piece."""
    albedo = np.array(figure.colours, float)
    sideways = np.array([0.0, 0.0, 0.35])
    base = view.lit(albedo, sideways, place, sunny=sunny)
    direct = 0.34 * sunny * view.climate.sun_gain + 0.05
    return view.veiled(base, depth).tolist(), view.veiled(base + albedo * direct, depth).tolist()


def _light_offset(view: View) -> Floats:
    """Where the lit side of a ball lies in the picture, in radii."""
    sun = view.rotation @ view.climate.sun_direction
    offset: Floats = sun[:2] / max(float(np.hypot(sun[0], sun[1])), 0.3) * 0.9
    return offset
