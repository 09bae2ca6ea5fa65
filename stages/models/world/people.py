"""People: how they look, and their skeletons as they walk or stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from stages.models.world.camera import Floats
from stages.models.world.catalogue import Catalogue, jittered
from stages.models.world.solids import Colour

Stance = Literal["walking", "standing", "telephoning", "riding"]
_SHOE_DARK: Final[Colour] = (34.0, 32.0, 32.0)


@dataclass(frozen=True, slots=True)
class Person:
    """How somebody looks; it stays the same for as long as they live."""

    tall: float  # metres
    girth: float
    outfit: str
    carried: str
    upper: Colour
    lower: Colour
    skin: Colour
    hair: Colour
    shoes: Colour
    item: Colour
    long_hair: bool
    hat: bool


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """Joints in local axes, left then right where there are two."""

    hips: Floats  # [2, 3]
    knees: Floats
    ankles: Floats
    toes: Floats
    shoulders: Floats
    elbows: Floats
    hands: Floats
    head: Floats  # [3]


def draw_person(rng: np.random.Generator, catalogue: Catalogue, *, rider: bool = False) -> Person:
    """Somebody of the catalogue's builds, outfits and colours."""
    tall, girth = catalogue.builds[rng.integers(len(catalogue.builds))]
    carried = str(rng.choice(catalogue.carried)) if rng.random() < 0.62 else catalogue.carried[0]
    if rider and carried in _NOT_ON_BICYCLES:
        carried = catalogue.carried[0]
    return Person(
        tall=tall * rng.uniform(0.96, 1.04),
        girth=girth * rng.uniform(0.94, 1.08),
        outfit=str(rng.choice(catalogue.outfits)),
        carried=carried,
        upper=jittered(rng, catalogue.cloths),
        lower=jittered(rng, catalogue.cloths, darker=0.8),
        skin=jittered(rng, catalogue.skins, spread=6),
        hair=jittered(rng, catalogue.hairs, spread=8),
        shoes=_SHOE_DARK if rng.random() < 0.7 else jittered(rng, catalogue.cloths),
        item=jittered(rng, catalogue.cloths),
        long_hair=bool(rng.random() < 0.42),
        hat=bool(rng.random() < 0.16),
    )


def upright(person: Person, stance: Stance, phase: float, stride: float) -> Skeleton:
    """The skeleton of somebody who walks (phase in radians, stride 0..1) or stands.

    Thighs swing as a sine of the phase; the knee bends while its leg swings forward; arms swing against the legs.
    """
    tall = person.tall
    beat = phase + np.array([0.0, np.pi])
    thigh = 0.44 * stride * np.sin(beat)
    knee = 0.06 + (0.10 + 0.85 * np.maximum(0.0, np.cos(beat))) * stride
    left = np.array([1.0, -1.0])
    hips = np.stack([np.zeros(2), 0.052 * tall * left * person.girth, np.zeros(2)], axis=1)
    knees = hips + 0.245 * tall * _swing(thigh)
    ankles = knees + 0.235 * tall * _swing(thigh - knee)
    lift = 0.04 * tall - ankles[:, 2].min()  # the lower foot stands on the ground
    toes = ankles + tall * np.stack([np.full(2, 0.085), np.zeros(2), np.full(2, -0.018)], axis=1)
    for joint in (hips, knees, ankles, toes):
        joint[:, 2] += lift
    waist = np.array([0.0, 0.0, hips[0, 2]])
    lean = 0.03 * stride
    shoulders = waist + tall * np.stack([np.full(2, lean), 0.108 * left * person.girth, np.full(2, 0.315)], axis=1)
    elbows, hands = _arms(person, stance, shoulders, beat, stride)
    head = waist + tall * np.array([lean + 0.015, 0.0, 0.415])
    return Skeleton(hips, knees, ankles, toes, shoulders, elbows, hands, head)


def _swing(angle: Floats) -> Floats:
    """Unit vectors that hang down and swing forward by an angle.  [n, 3]"""
    return np.stack([np.sin(angle), np.zeros_like(angle), -np.cos(angle)], axis=1)


def _arms(person: Person, stance: Stance, shoulders: Floats, beat: Floats, stride: float) -> tuple[Floats, Floats]:
    upper = -0.42 * stride * np.sin(beat)
    bend = 0.12 + 0.32 * stride + np.zeros(2)
    if stance == "telephoning":
        upper[0], bend[0] = 0.55, 2.25
    if person.carried in _HELD_UP:
        upper[1], bend[1] = 0.35, 1.95
    if person.carried in _HELD_DOWN:
        upper[1] *= 0.3
        bend[1] = 0.05
    outwards = np.array([[0.0, 0.025, 0.0], [0.0, -0.025, 0.0]]) * person.tall
    elbows = shoulders + 0.165 * person.tall * _swing(upper) + outwards
    hands = elbows + 0.155 * person.tall * _swing(upper + bend)
    return elbows, hands


_HELD_UP: Final = ("umbrella", "parasol")
_HELD_DOWN: Final = ("shopping", "suitcase", "handbag")
_NOT_ON_BICYCLES: Final = (*_HELD_UP, *_HELD_DOWN)
