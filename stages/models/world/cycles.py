"""Bicycles, and the riders who sit on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from stages.models.world.camera import NEAR_METRES, Floats
from stages.models.world.people import Person, Skeleton
from stages.models.world.solids import Colour
from stages.models.world.view import View, local_axes

_RADIUS: Final = 0.34
_REAR, _FRONT = -0.52, 0.54  # hubs along x
_CRANK = np.array([-0.08, 0.0, 0.29])
_SADDLE = np.array([-0.24, 0.0, 0.96])
_BAR = np.array([0.42, 0.0, 1.04])
_TYRE: Final[Colour] = (30.0, 30.0, 32.0)
_SPOKES: Final[Colour] = (120.0, 122.0, 126.0)
_LEATHER: Final[Colour] = (40.0, 34.0, 30.0)
BICYCLE_SIZE: Final = np.array([1.76, 0.5, 1.1])


@dataclass(frozen=True, slots=True)
class Bicycle:
    """How a bicycle looks."""

    frame: str
    paint: Colour


_HIGH, _LOW = np.array([-0.20, 0.0, 0.78]), np.array([0.38, 0.0, 0.84])
_REAR_HUB, _FRONT_HUB = np.array([_REAR, 0.0, _RADIUS]), np.array([_FRONT, 0.0, _RADIUS])
_FRAMES: Final[dict[str, tuple[tuple[Floats, Floats], ...]]] = {
    "diamond": ((_HIGH, _LOW),),
    "sloping": ((_HIGH - np.array([0.02, 0, 0.12]), _LOW),),
    "step_through": ((np.array([-0.14, 0.0, 0.45]), _LOW - np.array([0.02, 0, 0.08])),),
    "rack": ((_HIGH, _LOW), (np.array([-0.86, 0.0, 0.72]), _HIGH - np.array([0, 0, 0.06])),
             (np.array([-0.80, 0.0, 0.72]), _REAR_HUB)),
}  # fmt: skip
_TUBES: Final = (
    (_CRANK, _SADDLE), (_CRANK, _LOW), (_CRANK, _REAR_HUB), (_REAR_HUB, _HIGH), (_LOW, _FRONT_HUB),
    (_LOW, _BAR),
)  # fmt: skip


def paint_bicycle(view: View, bicycle: Bicycle, place: Floats, heading: float, index: int, *, sunny: float) -> None:
    """Paints a bicycle; its wheels count as filled, as annotators have it, though one sees through the spokes."""
    turn = local_axes(heading)
    depth = float(view.to_camera(place[None])[0, 2])
    if depth < 2 * NEAR_METRES + 1.0:
        return
    scale = view.camera.focal / depth
    albedo = np.array([bicycle.paint, _TYRE, _SPOKES, _LEATHER], float)
    lit = view.lit(albedo, np.array([0.0, 0.0, 0.4]), place, sunny=sunny)
    paint, tyre, spokes, leather = view.veiled(lit, depth).tolist()

    def pixels(points: Floats) -> Floats:
        return view.camera.to_pixels(view.to_camera(points @ turn + place))

    for hub in (_REAR_HUB, _FRONT_HUB):
        outer, inner = _wheel(hub, _RADIUS), _wheel(hub, _RADIUS - 0.055)
        across = np.array([0.0, 0.022, 0.0])  # so that a wheel seen from the front has some width
        rim = np.concatenate([pixels(outer + across), pixels(outer - across)])
        hole = pixels(inner)
        view.canvas.tinted(hole, spokes, index, share=0.45)
        view.canvas.ring(rim, hole, tyre, index)
    width = max(0.042 * scale, 0.8)
    for start, end in (*_TUBES, *_FRAMES[bicycle.frame]):
        view.canvas.bar(pixels(np.stack([start, end])), width, paint, index)
    aside = np.array([0.0, 0.26, 0.0])
    view.canvas.bar(pixels(np.stack([_BAR - aside, _BAR + aside])), max(0.035 * scale, 0.7), tyre, index)
    seat = np.array([0.12, 0.0, 0.0])
    view.canvas.bar(pixels(np.stack([_SADDLE - seat, _SADDLE + seat])), max(0.09 * scale, 1.0), leather, index)


def _wheel(hub: Floats, radius: float) -> Floats:
    angle = np.linspace(0, 2 * np.pi, 18, endpoint=False)
    return hub + radius * np.stack([np.cos(angle), np.zeros(18), np.sin(angle)], axis=1)


def riding(person: Person, crank: float) -> Skeleton:
    """The skeleton of a rider whose pedals stand at an angle (radians)."""
    tall = person.tall
    left = np.array([1.0, -1.0])
    angle = crank + np.array([0.0, np.pi])
    hips = _SADDLE + np.array([0.03, 0.0, 0.09]) + _aside(0.052 * tall * left * person.girth)
    pedals = _CRANK + 0.165 * np.stack([np.cos(angle), np.zeros(2), np.sin(angle)], axis=1) + _aside(0.10 * left)
    ankles = pedals + np.array([-0.06, 0.0, 0.09])
    knees = _bent(hips, ankles, 0.248 * tall, 0.245 * tall, forward=1.0)
    toes = ankles + np.array([0.15, 0.0, -0.05])
    waist = np.array([hips[0, 0], 0.0, hips[0, 2]])
    shoulders = waist + tall * np.array([0.135, 0.0, 0.285]) + _aside(0.105 * tall * left * person.girth)
    hands = _BAR + np.array([0.0, 0.0, 0.03]) + _aside(0.22 * left)
    elbows = _bent(shoulders, hands, 0.165 * tall, 0.165 * tall, forward=-1.0)
    head = waist + tall * np.array([0.185, 0.0, 0.385])
    return Skeleton(hips, knees, ankles, toes, shoulders, elbows, hands, head)


def _aside(y: Floats) -> Floats:
    return np.stack([np.zeros_like(y), y, np.zeros_like(y)], axis=1)


def _bent(start: Floats, end: Floats, upper: float, lower: float, *, forward: float) -> Floats:
    """The middle joint of two-piece limbs [n, 3], bent in the upright plane (cosine rule)."""
    way = end - start
    reach = np.linalg.norm(way, axis=1, keepdims=True)
    reach_ = np.clip(reach, 1e-6, (upper + lower) * 0.999)
    along = (upper**2 - lower**2 + reach_**2) / (2 * reach_)
    out = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
    unit = way / np.maximum(reach, 1e-6)
    sideways = np.stack([-unit[:, 2], np.zeros(len(unit)), unit[:, 0]], axis=1) * forward
    joint: Floats = start + unit * along + sideways * out
    return joint
