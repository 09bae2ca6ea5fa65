"""A window of a labelled picture that may reach past its edges: zoomed out, off its centre, of another aspect."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.models.labelled.sample import Sample
from stages.models.labelled.views import resample

# What stands outside of the picture: the grey that a letterbox has when the network is used.
PADDING = 114

Window = tuple[float, float, float, float]


def framed(sample: Sample, window: Window, *, width: int, height: int) -> Sample:
    """The window (left, top, right, bottom in pixels) as a picture `width` by `height`; outside of the sample grey.

    Grey is void in the regions. Boxes are clipped, and visibility falls by the share of the box that is cut away.

    Raises:
        ValueError: when the window shows nothing of the picture.
    """
    high, wide = sample.regions.shape
    left, top, right, bottom = window
    inner = (max(round(left), 0), max(round(top), 0), min(round(right), wide), min(round(bottom), high))
    if inner[0] >= inner[2] or inner[1] >= inner[3]:
        raise ValueError(f"window {window} shows nothing of a picture of {wide}x{high}")
    if left >= 0 and top >= 0 and right <= wide and bottom <= high:
        return resample(sample, inner, width=width, height=height)
    columns = _span(inner[0], inner[2], left, right, width)
    rows = _span(inner[1], inner[3], top, bottom, height)
    part = resample(sample, inner, width=columns[1] - columns[0], height=rows[1] - rows[0])
    return padded(part, left=columns[0], top=rows[0], width=width, height=height)


def _span(first: int, last: int, start: float, end: float, size: int) -> tuple[int, int]:
    """Where pixels `first` to `last` of an axis lie when `start` to `end` become `size` pixels; one at least."""
    scale = size / (end - start)
    low = min(max(round((first - start) * scale), 0), size - 1)
    return low, min(max(round((last - start) * scale), low + 1), size)


def padded(sample: Sample, *, left: int, top: int, width: int, height: int) -> Sample:
    """The sample with its corner at (left, top) of a grey picture that is large enough for it."""
    high, wide = sample.regions.shape
    right, bottom = width - left - wide, height - top - high
    image = cv2.copyMakeBorder(
        sample.image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(PADDING, PADDING, PADDING)
    ).astype(np.uint8, copy=False)
    regions = np.zeros((height, width), np.uint8)
    regions[top : top + high, left : left + wide] = sample.regions
    boxes = sample.boxes + np.array([left, top, left, top], np.float32)
    return Sample(image, regions, boxes, sample.labels, sample.visibility, sample.known)


def random_window(
    sample: Sample,
    rng: np.random.Generator,
    *,
    aspect: float | None = None,
    smallest: float = 0.45,
    largest: float = 1.0,
    stretch: float = 1.15,
    overhang: float = 0.0,
) -> Window:
    """A window anywhere in the picture, or around it where it is larger.

    Args:
        sample: the picture.
        rng: where chance comes from.
        aspect: width over height of the window; None for the picture's own.
        smallest: least side, as a share of the largest window of that aspect inside of the picture.
        largest: greatest side, likewise; above 1 the picture becomes smaller than the view.
        stretch: how far the aspect may be left, as a factor.
        overhang: share of the window that may lie outside of the picture at either end of an axis.
    """
    high, wide = sample.regions.shape
    w, h = _inscribed(wide, high, aspect)
    share = rng.uniform(smallest, largest)
    turn = np.exp(rng.uniform(-1, 1) * np.log(stretch) / 2)
    most = max(largest, 1.0)
    w, h = min(share * turn, most) * w, min(share / turn, most) * h
    left, top = _start(rng, wide, w, overhang), _start(rng, high, h, overhang)
    return left, top, left + w, top + h


def whole_window(sample: Sample, *, aspect: float | None = None) -> Window:
    """The whole picture, centred in the smallest window of the aspect."""
    high, wide = sample.regions.shape
    if aspect is None:
        return 0.0, 0.0, float(wide), float(high)
    w, h = max(wide, high * aspect), max(high, wide / aspect)
    left, top = (wide - w) / 2, (high - h) / 2
    return left, top, left + w, top + h


def _inscribed(wide: int, high: int, aspect: float | None) -> tuple[float, float]:
    """Sides of the largest window of the aspect inside of the picture."""
    if aspect is None:
        return float(wide), float(high)
    return min(wide, high * aspect), min(high, wide / aspect)


def _start(rng: np.random.Generator, size: int, side: float, overhang: float) -> float:
    slack = size - side
    loose = overhang * side
    start = rng.uniform(min(slack, 0.0) - loose, max(slack, 0.0) + loose)
    return float(np.clip(start, 1 - side, size - 1))  # a pixel at least stays in sight


def touched(box: NDArray[np.float32], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns that a box touches."""
    left, top, right, bottom = (int(side) for side in (*np.floor(box[:2]), *np.ceil(box[2:])))
    return slice(max(top, 0), min(bottom, shape[0])), slice(max(left, 0), min(right, shape[1]))
