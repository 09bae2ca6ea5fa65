"""Shadows on the ground, and the light of head lamps on it, as maps over the picture."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.models.world.actors import Actor
from stages.models.world.camera import Floats
from stages.models.world.climate import Climate
from stages.models.world.houses import House
from stages.models.world.people import Person
from stages.models.world.plants import Tree
from stages.models.world.view import View, hull

_CONTACT = 105  # darkness right below a thing, whatever the light, 0..255
_FAINTEST = 0.05
_LONGEST_METRES = 4.5  # of shadow for a metre of height
_TURN = np.linspace(0, 2 * np.pi, 12, endpoint=False)
_RING = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)


def shadow_way(climate: Climate) -> Floats:
    """Where the shadow of something a metre high ends.  [2] metres"""
    way: Floats = -climate.sun_direction[:2] / max(float(climate.sun_direction[2]), 1.0 / _LONGEST_METRES)
    return way


def house_shadows(houses: Iterable[House], climate: Climate) -> list[Floats]:
    """Outlines on the ground [n, 2] of the shadows of houses; none where the sun is too weak."""
    if climate.shadow < _FAINTEST:
        return []
    way = shadow_way(climate)
    return [hull(np.concatenate([house.footprint(), house.footprint() + way * house.height])) for house in houses]


def in_shade(place: Floats, shadows: list[Floats]) -> bool:
    """Whether a place [2] lies in one of the shadows."""
    spot = (float(place[0]), float(place[1]))
    return any(cv2.pointPolygonTest(shadow.astype(np.float32), spot, False) > 0 for shadow in shadows)


def shadow_map(view: View, houses: list[Floats], trees: Iterable[Tree], actors: Iterable[Actor]) -> NDArray[np.uint8]:
    """How dark the ground is, 0..255.  [H, W]"""
    camera, climate = view.camera, view.climate
    layer = np.zeros((camera.height, camera.width), np.uint8)
    strength = round(255 * climate.shadow)
    outlines: list[Floats] = []
    present = list(actors)
    if climate.shadow >= _FAINTEST:
        way = shadow_way(climate)
        outlines += houses
        for tree in trees:
            outlines += _tree_shadow(tree, way)
        for actor in present:
            outlines += _actor_shadow(actor, way)
    _fill(layer, view, outlines, strength)
    _fill(layer, view, [_grown(actor.footprint(), 0.12) for actor in present], max(strength, _CONTACT))
    return layer


def headlight_map(view: View, actors: Iterable[Actor]) -> NDArray[np.uint8]:
    """How bright head lamps make the ground, 0..255.  [H, W]"""
    layer = np.zeros((view.camera.height, view.camera.width), np.uint8)
    if not view.climate.lamps:
        return layer
    for reach, spread, brightness in ((13.0, 2.6, 60), (8.0, 1.9, 120), (4.0, 1.3, 190)):
        beams = [_beam(actor, reach, spread) for actor in actors if actor.route.kind == "lane"]
        _fill(layer, view, beams, brightness)
    return layer


def _fill(layer: NDArray[np.uint8], view: View, outlines: list[Floats], value: int) -> None:
    for outline in outlines:
        pixels = view.outline(np.column_stack([outline, np.zeros(len(outline))]))
        if len(pixels):
            fixed = np.rint(np.clip(pixels, -20_000, 20_000) * 8 - 4).astype(np.int32)
            cv2.fillPoly(layer, [fixed], (value,), cv2.LINE_AA, 3)


def _tree_shadow(tree: Tree, way: Floats) -> list[Floats]:
    ground = tree.place[:2]
    trunk = hull(np.concatenate([tree.footprint(), tree.footprint() + way * tree.clear]))
    low, high = ground + way * (tree.clear + 0.2 * tree.tall), ground + way * 0.86 * tree.tall
    crown = hull(np.concatenate([low + 0.42 * tree.crown * _RING, high + 0.26 * tree.crown * _RING]))
    return [trunk, crown]


def _actor_shadow(actor: Actor, way: Floats) -> list[Floats]:
    footprint, tall = actor.footprint(), float(actor.size[2])
    if isinstance(actor.body, Person):
        body = actor.place + 0.16 * _RING
        return [hull(np.concatenate([body, body * 1.0 + way * 0.8 * tall])),
                actor.place + way * 0.92 * tall + 0.13 * _RING]  # fmt: skip
    middle = footprint.mean(axis=0)
    roof = middle + (footprint - middle) * (0.72 if actor.route.kind == "lane" and tall < 2.0 else 0.95)
    if actor.route.kind == "cycle":
        roof = middle + (footprint - middle) * 0.4
    return [hull(np.concatenate([footprint, roof + way * 0.95 * tall]))]


def _grown(footprint: Floats, by: float) -> Floats:
    middle = footprint.mean(axis=0)
    way = footprint - middle
    grown: Floats = middle + way * (1 + by / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 0.1))
    return grown


def _beam(actor: Actor, reach: float, spread: float) -> Floats:
    ahead = np.array([np.sin(actor.heading), np.cos(actor.heading)])
    aside = np.array([ahead[1], -ahead[0]])
    front = actor.place + ahead * (float(actor.size[0]) / 2 + 0.2)
    far = front + ahead * reach
    return np.stack([front - 0.8 * aside, far - spread * aside, far + ahead - 0.5 * spread * aside,
                     far + ahead + 0.5 * spread * aside, far + spread * aside, front + 0.8 * aside])  # fmt: skip
