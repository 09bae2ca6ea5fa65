"""What people wear and carry, put on their skeletons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from stages.models.world.figure import Figure
from stages.models.world.people import Person, Skeleton


def dress(person: Person, bones: Skeleton) -> Figure:
    """The figure of a dressed person."""
    figure = Figure()
    style = _OUTFITS[person.outfit]
    _legs(figure, person, bones, style)
    _trunk(figure, person, bones, style)
    _upper_limbs(figure, person, bones, style)
    _head(figure, person, bones, style)
    _CARRIED[person.carried](figure, person, bones)
    return figure


@dataclass(frozen=True, slots=True)
class _Outfit:
    sleeves: Literal["none", "short", "long"]
    legs: Literal["bare", "short", "long"]
    hem: float = 0.0  # how far a coat or skirt reaches below the hips, as a share of the leg
    flare: float = 1.0
    skirt: bool = False  # the hem has the colour of the lower clothes
    hood: bool = False
    shirt: bool = False  # a light front between the lapels


_OUTFITS: Final[dict[str, _Outfit]] = {
    "tshirt": _Outfit("short", "long"),
    "jacket": _Outfit("long", "long", hem=0.12),
    "coat": _Outfit("long", "long", hem=0.5, flare=1.15),
    "dress": _Outfit("short", "bare", hem=0.52, flare=1.5),
    "shorts": _Outfit("short", "short"),
    "suit": _Outfit("long", "long", hem=0.16, shirt=True),
    "hoodie": _Outfit("long", "long", hem=0.08, hood=True),
    "poncho": _Outfit("long", "long", hem=0.38, flare=1.7, hood=True),
    "skirt": _Outfit("long", "bare", hem=0.42, flare=1.3, skirt=True),
    "long_dress": _Outfit("long", "bare", hem=0.82, flare=1.45),
}


def _legs(figure: Figure, person: Person, bones: Skeleton, style: _Outfit) -> None:
    tall, wide = person.tall, person.girth
    thigh = person.skin if style.legs == "bare" else person.lower
    shin = person.lower if style.legs == "long" else person.skin
    for side in (0, 1):
        hip, knee, ankle, toe = bones.hips[side], bones.knees[side], bones.ankles[side], bones.toes[side]
        figure.piece(person.shoes, (ankle, 0.024 * tall), (toe, 0.02 * tall))
        figure.piece(shin, (knee, 0.034 * tall * wide), (ankle, 0.024 * tall * wide))
        figure.piece(thigh, (hip, 0.05 * tall * wide), (knee, 0.036 * tall * wide))


def _trunk(figure: Figure, person: Person, bones: Skeleton, style: _Outfit) -> None:
    tall, wide = person.tall, person.girth
    waist = bones.hips + np.array([0.0, 0.0, 0.04 * tall])
    chest = bones.shoulders + (waist - bones.shoulders) * 0.12
    radius = 0.055 * tall * wide
    balls = [(chest[0], radius), (chest[1], radius), (waist[0], radius), (waist[1], radius)]
    figure.piece(person.upper, *balls, nearer=0.02)
    if style.shirt:
        front = (chest.mean(axis=0) + np.array([0.055 * tall, 0.0, 0.0]), 0.025 * tall)
        button = (waist.mean(axis=0) + np.array([0.06 * tall, 0, 0.05 * tall]), 0.008)
        figure.piece((226.0, 226.0, 222.0), front, button)
    if style.hem:
        colour = person.lower if style.skirt else person.upper
        drop = bones.hips + (bones.knees + 0.35 * (bones.ankles - bones.knees) - bones.hips) * style.hem
        spread = (drop - drop.mean(axis=0)) * (style.flare - 0.2) + drop.mean(axis=0)
        around = (0.05 + 0.022 * (style.flare - 1)) * tall * wide
        figure.piece(
            colour, (waist[0], radius), (waist[1], radius), (spread[0], around), (spread[1], around), nearer=0.03
        )


def _upper_limbs(figure: Figure, person: Person, bones: Skeleton, style: _Outfit) -> None:
    tall, wide = person.tall, person.girth
    upper = person.skin if style.sleeves == "none" else person.upper
    fore = person.upper if style.sleeves == "long" else person.skin
    for side in (0, 1):
        shoulder, elbow, hand = bones.shoulders[side], bones.elbows[side], bones.hands[side]
        figure.piece(upper, (shoulder, 0.036 * tall * wide), (elbow, 0.027 * tall * wide))
        figure.piece(fore, (elbow, 0.026 * tall * wide), (hand, 0.019 * tall))
        figure.piece(person.skin, (hand, 0.024 * tall), nearer=0.01)


def _head(figure: Figure, person: Person, bones: Skeleton, style: _Outfit) -> None:
    tall, head = person.tall, bones.head
    neck = bones.shoulders.mean(axis=0) + np.array([0.0, 0.0, 0.01 * tall])
    figure.piece(person.skin, (neck, 0.03 * tall), (head, 0.03 * tall))
    top = head + np.array([-0.008, 0.0, 0.012]) * tall
    cap = person.upper if style.hood else person.item if person.hat else person.hair
    figure.piece(cap, (top, 0.060 * tall), nearer=0.005)
    face = head + np.array([0.030, 0.0, -0.014]) * tall
    figure.piece(person.skin, (face, 0.043 * tall), (face + np.array([0.0, 0.0, -0.012 * tall]), 0.036 * tall))
    if person.hat:
        brim = head + np.array([0.0, 0.0, 0.034]) * tall
        reach = np.array([0.05, 0.0, 0.0]) * tall
        figure.piece(cap, (brim - reach * 0.6, 0.03 * tall), (brim + reach, 0.024 * tall), nearer=0.06)
    if person.long_hair:
        down = head + np.array([-0.045, 0.0, -0.075]) * tall
        figure.piece(cap, (top, 0.055 * tall), (down, 0.042 * tall))


def _nothing(figure: Figure, person: Person, bones: Skeleton) -> None:
    del figure, person, bones


def _backpack(figure: Figure, person: Person, bones: Skeleton) -> None:
    tall = person.tall
    middle = (bones.shoulders.mean(axis=0) + bones.hips.mean(axis=0)) / 2
    high = middle + np.array([-0.105, 0.0, 0.10]) * tall
    low = middle + np.array([-0.115, 0.0, -0.06]) * tall
    aside = np.array([0.0, 0.05, 0.0]) * tall
    radius = 0.045 * tall
    figure.piece(person.item, *((point + way, radius) for point in (high, low) for way in (aside, -aside)))


def _hanging(figure: Figure, person: Person, bones: Skeleton, *, size: float, drop: float) -> None:
    """A bag below the right hand."""
    hand = bones.hands[1]
    top, low = hand + np.array([0.0, 0.0, -drop * 0.4]), hand + np.array([0.0, 0.0, -drop])
    aside = np.array([size, 0.0, 0.0])
    radius = 0.035 * person.tall
    figure.piece(person.item, (top + aside * 0.8, radius), (top - aside * 0.8, radius), (low + aside, radius),
                 (low - aside, radius), nearer=0.02)  # fmt: skip
    figure.piece(person.item, (hand, 0.012), (top, 0.012))


def _shopping(figure: Figure, person: Person, bones: Skeleton) -> None:
    _hanging(figure, person, bones, size=0.10, drop=0.36)


def _handbag(figure: Figure, person: Person, bones: Skeleton) -> None:
    _hanging(figure, person, bones, size=0.08, drop=0.20)


def _suitcase(figure: Figure, person: Person, bones: Skeleton) -> None:
    ground = np.array([-0.55, bones.hands[1, 1] - 0.05, 0.06])
    aside = np.array([0.0, 0.16, 0.0])
    top = ground + np.array([0.12, 0.0, 0.52])
    figure.piece(person.item, (ground + aside, 0.06), (ground - aside, 0.06), (top + aside, 0.06), (top - aside, 0.06))
    figure.piece((60.0, 60.0, 64.0), (top, 0.012), (bones.hands[1], 0.012))


def _satchel(figure: Figure, person: Person, bones: Skeleton) -> None:
    tall = person.tall
    hip = bones.hips[0] + np.array([0.0, 0.07, 0.0]) * tall
    aside = np.array([0.06, 0.0, 0.0]) * tall
    low = hip - np.array([0.0, 0.0, 0.08]) * tall
    radius = 0.032 * tall
    figure.piece(person.item, *((point + way, radius) for point in (hip, low) for way in (aside, -aside)), nearer=0.02)
    figure.piece(person.item, (hip, 0.014), (bones.shoulders[1], 0.014), nearer=0.12)


def _umbrella(figure: Figure, person: Person, bones: Skeleton) -> None:
    hand = bones.hands[1]
    rim = person.tall + 0.10
    figure.piece((70.0, 70.0, 74.0), (hand, 0.012), (np.array([hand[0], hand[1] * 0.5, rim + 0.2]), 0.012))
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    middle = np.array([hand[0] * 0.6, hand[1] * 0.5, rim])
    ring = middle + 0.52 * np.stack([np.cos(angle), np.sin(angle), np.zeros(8)], axis=1)
    apex = middle + np.array([0.0, 0.0, 0.24])
    shoulder = middle + (ring - middle) * 0.6 + np.array([0.0, 0.0, 0.16])
    balls = [(point, 0.01) for point in (*ring, *shoulder, apex)]
    figure.piece(person.item, *balls, nearer=0.9)


_CARRIED: Final = {
    "nothing": _nothing,
    "empty": _nothing,
    "backpack": _backpack,
    "shopping": _shopping,
    "handbag": _handbag,
    "suitcase": _suitcase,
    "satchel": _satchel,
    "umbrella": _umbrella,
    "parasol": _umbrella,
}
