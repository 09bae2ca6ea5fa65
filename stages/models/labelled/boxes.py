"""Checks of boxes in foreign labels."""

from __future__ import annotations

import math

from stages.models.labelled.picture_file import Size

OVERHANG_PIXELS = 2.0  # rounding of label tools; a box may leave the picture by so much

Box = tuple[float, float, float, float]  # xyxy, pixels


def checked_box(box: Box, size: Size) -> Box | None:
    """The box within the picture; None where it has no area, as a click in a label tool leaves.

    Raises:
        ValueError: for what is not a number, ends before it begins, or leaves the picture.
    """
    left, top, right, bottom = box
    if not all(math.isfinite(value) for value in box):
        raise ValueError(f"a box of {_text(box)}; four numbers are needed")
    if right < left or bottom < top:
        raise ValueError(f"a box of {_text(box)} ends before it begins")
    width, height = size
    if min(left, top) < -OVERHANG_PIXELS or right > width + OVERHANG_PIXELS or bottom > height + OVERHANG_PIXELS:
        raise ValueError(f"a box of {_text(box)} leaves the picture of {width}x{height} pixels")
    left, top, right, bottom = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
    return (left, top, right, bottom) if right > left and bottom > top else None


def without_area_note(count: int, labels: object) -> list[str]:
    """The remark on boxes that `checked_box` gave None for."""
    return [f"{labels}: {count} objects without area were left out"] if count else []


def _text(box: Box) -> str:
    return "[" + ", ".join(f"{value:g}" for value in box) + "] (left, top, right, bottom)"
