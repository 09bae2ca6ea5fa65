"""Labels beside boxes: measured, placed so that they do not cover each other, drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

import cv2
import numpy as np

from pipeline.messages import UInt8
from stages.publish.colours import Colour, mix, text_colour
from stages.publish.layer import panel

Box = tuple[float, float, float, float]  # xyxy

BOLD: Final = 600
REGULAR: Final = 420
MOST_OVERHANG: Final = 1.6  # times the width of the box
FACE: Final = 0.25  # of a box's height: where a standing person's is
MOST_HIDDEN: Final = 0.2  # of another's face
SMALLER: Final = 0.75  # letters beside a box that is hardly larger than a letter
LEAST_SIZE: Final = 10
CAP_HEIGHT: Final = 0.72  # of the font size, for OpenCV's built-in sans


@dataclass(frozen=True, slots=True)
class Tag:
    """What is to be said about one box; `short` is said where the whole has no room."""

    box: Box
    colour: Colour
    name: str
    detail: str
    short: str
    opacity: float = 0.92


@dataclass(frozen=True, slots=True)
class PlacedTag:
    """A tag with its place in the picture and the words that fit there."""

    place: Box
    colour: Colour
    name: str
    detail: str
    opacity: float
    size: int  # of the letters, pixels


@cache
def font() -> Any:
    """OpenCV's built-in TrueType sans."""
    return cv2.FontFace("sans")


@lru_cache(maxsize=4096)
def text_width(text: str, size: int, weight: int) -> int:
    """Pixels the text takes."""
    if not text:
        return 0
    left, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), font(), size, weight)
    return int(left + width)


def put_text(rgb: UInt8, text: str, at: tuple[float, float], colour: Colour, size: int, weight: int) -> None:
    """Write into the picture; `at` is the left end of the line the letters stand on."""
    cv2.putText(rgb, text, (round(at[0]), round(at[1])), colour, font(), size, weight)


def place_tags(
    tags: Sequence[Tag], *, width: int, height: int, size: int, occupied: Sequence[Box] = ()
) -> list[PlacedTag]:
    """Find room for each tag outside what is `occupied`, the first having the first choice.

    A tag goes above its box, else below, else inside its lower edge, else inside the upper one, where a face may be;
    first of all inside where the box begins at the upper edge of the picture. A place that hides little of others'
    faces is preferred. Where none is free, it is tried without its detail, then in its short form, and where not even
    that has room, it is left out. A box much smaller than its tag gets less at once: a label must not hide more than
    it names; and letters smaller than `size` beside a box hardly larger than they are.
    """
    placed: list[PlacedTag] = []
    taken = np.array(occupied, dtype=float).reshape(-1, 4)
    faces = np.array([_face(tag.box) for tag in tags]).reshape(-1, 4)
    most = MOST_HIDDEN * (faces[:, 2] - faces[:, 0]) * (faces[:, 3] - faces[:, 1])
    for number, tag in enumerate(tags):
        may_hide = most.copy()
        may_hide[number] = np.inf  # its own
        letters = _letters(tag.box, size)
        for name, detail in dict.fromkeys(((tag.name, tag.detail), (tag.name, ""), (tag.short, ""))):
            length = _tag_width(name, detail, letters)
            if name != tag.short and length > MOST_OVERHANG * (tag.box[2] - tag.box[0]):
                continue
            places = _places(tag.box, length, _tag_height(letters))
            room = _best_free(places, taken, faces, may_hide, width=width, height=height)
            if room is not None:
                placed.append(PlacedTag(room, tag.colour, name, detail, tag.opacity, letters))
                taken = np.vstack([taken, room])
                break
    return placed


def _letters(box: Box, size: int) -> int:
    small = box[2] - box[0] < 2 * size and box[3] - box[1] < 4 * size
    return min(size, max(LEAST_SIZE, round(SMALLER * size))) if small else size


def _face(box: Box) -> Box:
    left, top, right, bottom = box
    middle, size = (left + right) / 2, FACE * (bottom - top)
    half = min(right - left, size) / 2
    return middle - half, top, middle + half, top + size


def _tag_width(name: str, detail: str, size: int) -> float:
    between = 0.4 * size if name and detail else 0.0
    return text_width(name, size, BOLD) + between + text_width(detail, size, REGULAR) + 0.9 * size


def _tag_height(size: int) -> float:
    return round(1.45 * size)


def _places(box: Box, width: float, height: float) -> Iterator[Box]:
    left, top, right, bottom = box
    inside = (bottom, bottom - height, top)
    for y in (top - height, *inside) if top >= height else (top, *inside[:2]):
        for x in (left, right - width):
            yield x, y, x + width, y + height


def _best_free(places: Iterator[Box], taken: Any, faces: Any, may_hide: Any, *, width: int, height: int) -> Box | None:
    """The first place in the picture that is free and hides no more of each face than it may; else the first free."""
    first = None
    for left, top, right, bottom in places:
        if top < 0 or bottom > height or right - left > width:
            continue
        shift = min(max(left, 0.0), width - (right - left)) - left
        place = (left + shift, top, right + shift, bottom)
        if _shared(place, taken).any():
            continue
        if (_shared(place, faces) <= may_hide).all():
            return place
        first = first or place
    return first


def _shared(place: Box, others: Any) -> Any:
    """Pixels that a place has in common with each of the others [N]."""
    left, top, right, bottom = place
    wide = np.minimum(others[:, 2], right) - np.maximum(others[:, 0], left)
    high = np.minimum(others[:, 3], bottom) - np.maximum(others[:, 1], top)
    return wide.clip(0) * high.clip(0)


def draw_tag(rgb: UInt8, tag: PlacedTag) -> None:
    """Draw one tag into the picture."""
    size = tag.size
    left, _, _, bottom = tag.place
    panel(rgb, tag.place, 0.3 * size, tag.colour, tag.opacity)
    ink = text_colour(tag.colour)
    base = bottom - (_tag_height(size) - CAP_HEIGHT * size) / 2
    x = left + 0.45 * size
    put_text(rgb, tag.name, (x, base), ink, size, BOLD)
    if tag.detail:
        x += text_width(tag.name, size, BOLD) + 0.4 * size
        put_text(rgb, tag.detail, (x, base), mix(ink, tag.colour, 0.3), size, REGULAR)
