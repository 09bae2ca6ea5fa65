"""From a decoded surface straight to a network's uint8 picture: planes are resized first, colours converted after.

Converting at the network's size touches a tenth of the pixels of a 1080p frame. Linear resizing and the colour matrix
commute but for rounding, so the result is that of converting first within two levels.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import cv2
import numpy as np

from pipeline.messages import Float32, Matrix, Range, Surface, Transform, UInt8
from stages.models.backend import Normalisation

Fit = Literal["stretch", "corner", "centre"]
Colours = Literal["rgb", "bgr"]

# Weights of red and blue in luma: ITU-R BT.601-7 and BT.709-6, section 3.
_LUMA = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """The picture a network wants.

    Attributes:
        width, height: pixels.
        colours: order of the channels.
        fit: `stretch` fills the picture; `corner` keeps proportions and pads right and below; `centre` pads all round.
        padding: level of the padding, 0..255.
        normalise: what happens to the levels inside the backend.
    """

    width: int
    height: int
    colours: Colours
    fit: Fit
    padding: int = 114
    normalise: Normalisation = Normalisation()


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the source lies in the network's picture, in pixels of that picture."""

    left: int
    top: int
    width: int
    height: int
    transform: Transform  # network pixels to source pixels


def place(width: int, height: int, spec: InputSpec) -> Placement:
    """Fit a source of `width` x `height` into the network's picture."""
    inner_width, inner_height = spec.width, spec.height
    if spec.fit != "stretch":
        ratio = min(spec.width / width, spec.height / height)
        inner_width = min(max(round(width * ratio), 1), spec.width)
        inner_height = min(max(round(height * ratio), 1), spec.height)
    centred = spec.fit == "centre"
    left = (spec.width - inner_width) // 2 if centred else 0
    top = (spec.height - inner_height) // 2 if centred else 0
    scale_x, scale_y = width / inner_width, height / inner_height
    return Placement(left, top, inner_width, inner_height, Transform(scale_x, scale_y, -left * scale_x, -top * scale_y))


def map_geometry(size: Sequence[int], spec: InputSpec, placement: Placement) -> tuple[Transform, int, int]:
    """Transform, valid height and valid width of a network's map of `size` (height, width).

    The picture must start in the map's corner: a map has no place to say that it does not.
    """
    height, width = size
    step_x, step_y = spec.width / width, spec.height / height  # network pixels a map pixel
    shown = placement.transform
    transform = Transform(shown.scale_x * step_x, shown.scale_y * step_y, shown.offset_x, shown.offset_y)
    valid_height = min(math.ceil(placement.height / step_y), height)
    return transform, valid_height, min(math.ceil(placement.width / step_x), width)


class Preprocessor:
    """Fills the same pictures a thread again and again: the padding is painted only when the placement changes."""

    def __init__(self, spec: InputSpec) -> None:
        self.spec = spec
        self._local = threading.local()

    def __call__(self, surface: Surface) -> tuple[UInt8, Placement]:
        """The picture [1, H, W, 3], valid until this thread's next call, and where the source lies in it."""
        pictures, (placement,) = self.stack([surface])
        return pictures, placement

    def stack(self, surfaces: Sequence[Surface]) -> tuple[UInt8, list[Placement]]:
        """Pictures [N, H, W, 3], valid until this thread's next call, and where each source lies in its own."""
        pictures, placements = self._held(len(surfaces))
        for i, surface in enumerate(surfaces):
            placement = place(surface.width, surface.height, self.spec)
            if placements[i] != placement:
                pictures[i].fill(self.spec.padding)
                placements[i] = placement
            rows = slice(placement.top, placement.top + placement.height)
            columns = slice(placement.left, placement.left + placement.width)
            paint(surface, pictures[i, rows, columns], self.spec.colours)
        return pictures[: len(surfaces)], [placed for placed in placements[: len(surfaces)] if placed is not None]

    def _held(self, count: int) -> tuple[UInt8, list[Placement | None]]:
        """This thread's pictures, at least `count`, and what each was painted for last."""
        pictures: UInt8 | None = getattr(self._local, "pictures", None)
        if pictures is None or len(pictures) < count:
            pictures = self._local.pictures = np.empty((count, self.spec.height, self.spec.width, 3), dtype=np.uint8)
            self._local.placements = [None] * count
        return pictures, self._local.placements


def paint(surface: Surface, out: UInt8, colours: Colours) -> None:
    """The surface resized to `out` [h, w, 3] and converted to its colours."""
    size = (out.shape[1], out.shape[0])
    if surface.format == "rgb24":
        resized = resize(surface.planes[0], size)
        out[...] = resized if colours == "rgb" else cv2.cvtColor(resized, cv2.COLOR_RGB2BGR)
        return
    planes = surface.planes
    if surface.format == "nv12":
        u, v = (np.asarray(plane, dtype=np.uint8) for plane in cv2.split(planes[1]))
        planes = (planes[0], u, v)  # OpenCV halves one channel far faster than two
    yuv = cv2.merge([resize(plane, size) for plane in planes])  # [h, w, 3]
    cv2.transform(yuv, colour_matrix(surface.matrix, surface.range, colours), dst=out)


def resize(plane: UInt8, size: tuple[int, int]) -> UInt8:
    """A plane [H, W] or [H, W, C] at `size` (width, height): linear, after exact halvings while it is twice too large.

    Halving averages 2x2 pixels, so that a large reduction reads every pixel; it costs a tenth of an area filter.
    """
    width, height = size
    while plane.shape[1] >= 2 * width and plane.shape[0] >= 2 * height and not (plane.shape[0] | plane.shape[1]) & 1:
        half = (plane.shape[1] // 2, plane.shape[0] // 2)
        plane = np.asarray(cv2.resize(plane, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if (plane.shape[1], plane.shape[0]) == size:
        return plane
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


@cache
def colour_matrix(matrix: Matrix, levels: Range, colours: Colours) -> Float32:
    """[3, 4] from (Y, Cb, Cr, 1) in 0..255 to the colours in 0..255 (BT.601-7 and BT.709-6, sections 3 and 4)."""
    red, blue = _LUMA[matrix]
    green = 1.0 - red - blue
    luma_span, chroma_span, black = (219.0, 224.0, 16.0) if levels == "limited" else (255.0, 255.0, 0.0)
    y, c = 255.0 / luma_span, 255.0 / chroma_span
    cr, cb = 2.0 * (1.0 - red) * c, 2.0 * (1.0 - blue) * c
    rows = np.array(
        [[y, 0.0, cr], [y, -cb * blue / green, -cr * red / green], [y, cb, 0.0]],
        dtype=np.float64,
    )
    offsets = -rows @ np.array([black, 128.0, 128.0])
    rgb = np.concatenate([rows, offsets[:, None]], axis=1).astype(np.float32)
    return rgb if colours == "rgb" else np.ascontiguousarray(rgb[::-1])
