"""A panoptic map laid over the picture: ground tinted by class, things filled and outlined in their own colour."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from pipeline.messages import PanopticMap, UInt8
from stages.publish.colours import Colour
from stages.publish.layer import Layer, Points

STUFF_OPACITY: Final = 0.34
THING_OPACITY: Final = 0.42
EDGE: Final = 112  # of 255: a little below half, so that a leg or a pole one cell wide is not smoothed away
MOST_UPSCALE: Final = (
    4  # an outline is traced at this many times the map's size at most; past that only its points grow
)


def tinted_ground(panoptic: PanopticMap, colours: dict[int, Colour], *, width: int, height: int) -> Layer:
    """A layer of the source's size that tints segments (by id) with soft edges; things and void stay as they are."""
    size = max(int(panoptic.ids.max(initial=0)), max(colours, default=0)) + 1
    tints, kept = np.zeros((size, 3), dtype=np.uint8), np.full(size, 255, dtype=np.uint8)
    for segment_id, colour in colours.items():
        tints[segment_id] = [round(c * STUFF_OPACITY) for c in colour]
        kept[segment_id] = round(255 * (1 - STUFF_OPACITY))
    grey = _to_source(kept[panoptic.ids], panoptic, width, height)
    spread = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    return Layer(_to_source(tints[panoptic.ids], panoptic, width, height), spread)


def _to_source(picture: UInt8, panoptic: PanopticMap, width: int, height: int) -> UInt8:
    """A picture of the map's size [h, w(, C)] at the source's [height, width(, C)], to the nearest whole pixel."""
    at = panoptic.transform
    columns, left, right = _span(at.offset_x, at.scale_x, panoptic.width, width)
    rows, top, bottom = _span(at.offset_y, at.scale_y, panoptic.height, height)
    scaled = cv2.resize(picture[rows, columns], (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    shown = scaled[max(0, -top) : height - top, max(0, -left) : width - left]
    missing = (max(0, top), max(0, height - bottom), max(0, left), max(0, width - right))
    whole = cv2.copyMakeBorder(shown, *missing, cv2.BORDER_REPLICATE) if any(missing) else shown
    return np.ascontiguousarray(whole)


def _span(offset: float, scale: float, cells: int, pixels: int) -> tuple[slice, int, int]:
    """The cells of the map that show some of the source's pixels, and the source pixels that these cover."""
    first = int(np.clip(np.floor(-offset / scale), 0, cells - 1))
    last = int(np.clip(np.ceil((pixels - offset) / scale), first + 1, cells))
    start = min(round(first * scale + offset), pixels - 1)
    return slice(first, last), start, max(round(last * scale + offset), start + 1, 1)


def outlines(panoptic: PanopticMap, segment_id: int) -> list[Points]:
    """The borders of a segment, holes among them, in pixels of the source; smooth at any scale."""
    mask = np.equal(panoptic.ids, segment_id).view(np.uint8)
    left, top, width, height = cv2.boundingRect(mask)
    if width == 0:
        return []
    at = panoptic.transform
    factor = int(np.clip(np.ceil(max(at.scale_x, at.scale_y)), 1, MOST_UPSCALE))
    cut = np.pad(mask[top : top + height, left : left + width] * np.uint8(255), 1)
    if factor > 1:
        cut = cv2.resize(cut, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
        cut = cv2.blur(cut, (factor + 1, factor + 1))
    found, _ = cv2.findContours(
        np.greater(cut, EDGE).view(np.uint8),
        cv2.RETR_LIST,
        cv2.CHAIN_APPROX_NONE if factor > 1 else cv2.CHAIN_APPROX_SIMPLE,
    )
    start, scale = np.array([left - 1, top - 1]), np.array([at.scale_x, at.scale_y])
    offset = np.array([at.offset_x, at.offset_y])
    step = slice(None, None, max(1, factor // 2))
    return [((c[step, 0] + 0.5) / factor + start) * scale + offset for c in found if len(c) > 2]
