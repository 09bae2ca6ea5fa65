"""Views of a labelled picture whose truth stays true: a window of it at another size, its mirror image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.models.labelled.sample import FIRST_OBJECT, Sample

# Below these an object cannot be told from its surroundings; the same rule ignores it in evaluation.
MIN_VISIBILITY = 0.15
MIN_SIDE_PIXELS = 6.0

# Shrinking averages areas from this factor on; below it bilinear samples leave out little and take a tenth of the time.
_AVERAGED = 1.6


def resample(sample: Sample, window: tuple[float, float, float, float], *, width: int, height: int) -> Sample:
    """The window (left, top, right, bottom in pixels) as a picture of its own.

    Objects whose box the window cuts become less visible.
    """
    left, top, right, bottom = window
    sx, sy = width / (right - left), height / (bottom - top)
    image = _cut(sample.image, window, width=width, height=height, shrink=cv2.INTER_AREA)
    regions = _cut(sample.regions, window, width=width, height=height, shrink=cv2.INTER_NEAREST)
    low = np.array([left, top, left, top], np.float32)
    scale = np.array([sx, sy, sx, sy], np.float32)
    boxes = (sample.boxes - low) * scale
    clipped = boxes.clip(0, np.array([width, height, width, height], np.float32)).astype(np.float32)
    before, after = areas(boxes), areas(clipped)
    visibility = (sample.visibility * after / np.maximum(before, 1e-6)).astype(np.float32)
    return Sample(image, regions, clipped, sample.labels, visibility, sample.known)


def _cut(
    pixels: NDArray[np.uint8], window: tuple[float, float, float, float], *, width: int, height: int, shrink: int
) -> NDArray[np.uint8]:
    left, top, right, bottom = (round(value) for value in window)
    part = pixels[top : max(bottom, top + 1), left : max(right, left + 1)]
    enlarge = cv2.INTER_NEAREST if shrink == cv2.INTER_NEAREST else cv2.INTER_LINEAR
    mode = shrink if part.shape[1] >= _AVERAGED * width else enlarge
    return u8(cv2.resize(part, (width, height), interpolation=mode))


def mirror(sample: Sample) -> Sample:
    """Left and right exchanged."""
    width = sample.regions.shape[1]
    boxes = sample.boxes.copy()
    boxes[:, [0, 2]] = width - sample.boxes[:, [2, 0]]
    image, regions = (np.ascontiguousarray(pixels[:, ::-1]) for pixels in (sample.image, sample.regions))
    return Sample(image, regions, boxes, sample.labels, sample.visibility, sample.known)


def is_ignored(sample: Sample, *, scale: float = 1.0) -> NDArray[np.bool_]:
    """[G]: visible by less than `MIN_VISIBILITY`, or a shorter side under `MIN_SIDE_PIXELS` (after `scale`)."""
    sides = (sample.boxes[:, 2:] - sample.boxes[:, :2]).min(1, initial=np.inf) * scale
    return np.asarray((sample.visibility < MIN_VISIBILITY) | (sides < MIN_SIDE_PIXELS), np.bool_)


def object_masks(regions: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """0 where no object is, else 1 + its index into boxes."""
    return np.where(regions >= FIRST_OBJECT, regions - np.uint8(FIRST_OBJECT - 1), np.uint8(0))


def areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """[G, 4] xyxy -> [G]; a box turned inside out has none."""
    sides = (boxes[:, 2:] - boxes[:, :2]).clip(0)
    return np.asarray(sides[:, 0] * sides[:, 1], np.float32)


def u8(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """As bytes, without a copy where they are bytes already."""
    return pixels.astype(np.uint8, copy=False)
