"""Which colour an object, a class or a kind of ground is drawn in. All are RGB, 0 to 255."""

from __future__ import annotations

import re
import zlib
from typing import Final

Colour = tuple[int, int, int]

# M. Okabe and K. Ito, "Color Universal Design" (2008): distinct with every common colour blindness. Ordered so that
# neighbouring track ids, which often stand side by side, differ the most.
OKABE_ITO: Final[tuple[Colour, ...]] = (
    (86, 180, 233),  # sky blue
    (230, 159, 0),  # orange
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (204, 121, 167),  # reddish purple
    (213, 94, 0),  # vermillion
    (0, 114, 178),  # blue
)

# Ground is tinted, never painted: muted, so that what moves on it stands out. Kinds of ground that often touch differ
# in lightness too, so that nobody needs to tell red from green. Looked up by the words of a class name, which finds
# road in "road", tree in "tree-merged" and wall in "wall-brick".
GROUND: Final[dict[Colour, str]] = {
    (91, 90, 128): "road drivable",
    (211, 166, 226): "pavement sidewalk",
    (224, 221, 136): "lane",
    (104, 67, 73): "rail railroad",
    (189, 180, 206): "platform",
    (165, 145, 122): "building house bridge",
    (218, 205, 178): "wall",
    (125, 108, 107): "fence",
    (145, 186, 215): "sky",
    (56, 132, 206): "water sea river",
    (53, 129, 57): "vegetation tree plant bush",
    (168, 187, 89): "grass playingfield",
    (238, 227, 177): "terrain ground",
    (92, 56, 30): "dirt gravel",
    (220, 206, 175): "sand",
    (229, 220, 215): "snow",
    (139, 120, 137): "mountain hill rock",
    (157, 117, 94): "floor",
    (188, 198, 204): "ceiling",
}
STUFF: Final = {word: colour for colour, words in GROUND.items() for word in words.split()}

WHITE: Final[Colour] = (255, 255, 255)
INK: Final[Colour] = (16, 18, 22)


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """`colour` with `share` (0 to 1) of `other` in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


# Fourteen, so that few in a crowd share one: lighter and darker shades follow, chosen so that ids n, n + 1 and n + 2
# can be told apart with every common colour blindness, also where the first follows the last.
_SKY, _, _GREEN, _YELLOW, _PURPLE, _VERMILLION, _ = OKABE_ITO
THINGS: Final[tuple[Colour, ...]] = (
    *OKABE_ITO,
    mix(_SKY, WHITE, 0.45),
    mix(_YELLOW, WHITE, 0.4),
    mix(_GREEN, INK, 0.35),
    mix(_VERMILLION, WHITE, 0.25),
    mix(_PURPLE, WHITE, 0.4),
    mix(_VERMILLION, INK, 0.2),
    mix(_PURPLE, INK, 0.4),
)


def thing_colour(number: int) -> Colour:
    """The colour of a track id, or of a label where nothing is tracked: always the same for the same number."""
    return THINGS[number % len(THINGS)]


def stuff_colour(name: str) -> Colour:
    """The tint of a class of ground: its own where the name is a common one, else one that only depends on the name."""
    for word in re.split(r"[^a-z]+", name.lower()):
        if word in STUFF:
            return STUFF[word]
    return mix(THINGS[zlib.crc32(name.encode()) % len(THINGS)], (128, 128, 128), 0.5)


def text_colour(background: Colour) -> Colour:
    """Black or white, whichever reads better: the higher contrast ratio of WCAG 2.1."""
    return INK if luminance(background) > 0.25 else WHITE


def luminance(colour: Colour) -> float:
    """Relative luminance, 0 to 1 (WCAG 2.1, definition of relative luminance)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
