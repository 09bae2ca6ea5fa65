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

# Ground is tinted, never painted: muted, so that what moves on it stands out. Looked up by the words of a class name,
# which finds road in "road", tree in "tree-merged" and wall in "wall-brick".
STUFF: Final[dict[str, Colour]] = {
    "road": (116, 98, 158),
    "drivable": (116, 98, 158),
    "pavement": (196, 142, 178),
    "sidewalk": (196, 142, 178),
    "lane": (226, 206, 132),
    "building": (158, 132, 110),
    "house": (158, 132, 110),
    "wall": (168, 148, 132),
    "fence": (168, 148, 132),
    "sky": (104, 164, 214),
    "water": (84, 136, 190),
    "sea": (84, 136, 190),
    "vegetation": (108, 158, 84),
    "tree": (108, 158, 84),
    "grass": (140, 178, 92),
    "terrain": (160, 170, 110),
    "dirt": (156, 132, 92),
    "floor": (172, 160, 142),
    "ceiling": (186, 186, 178),
}

WHITE: Final[Colour] = (255, 255, 255)
INK: Final[Colour] = (16, 18, 22)


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """`colour` with `share` (0 to 1) of `other` in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


THINGS: Final[tuple[Colour, ...]] = OKABE_ITO + tuple(mix(colour, WHITE, 0.5) for colour in OKABE_ITO)


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
