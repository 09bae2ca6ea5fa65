"""One training picture with its truth, and its compact form in a cache."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# Values of `Sample.regions`: 0 void, 1..stuff classes, then one value an object.
FIRST_OBJECT = 16
MAX_OBJECTS = 256 - FIRST_OBJECT


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A picture and its truth. H, W = the picture's size, G = objects.

    Attributes:
        image: [H, W, 3] uint8 RGB.
        regions: [H, W] uint8: 0 void, 1 + stuff index, `FIRST_OBJECT` + index into boxes.
        boxes: [G, 4] float32 xyxy of the visible part, pixels.
        labels: [G] int64.
        visibility: [G] float32, the share of the object not hidden; 0 for what is neither right nor wrong to find, as
            a crowd. An object without pixels in `regions` has a box alone.
        known: [things] bool, the classes of which every object has a box here; None: all. Of the others, what has no
            box may be there all the same.
    """

    image: NDArray[np.uint8]
    regions: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    visibility: NDArray[np.float32]
    known: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PackedSample:
    """A sample as JPEG and PNG: 60 KB instead of 900, and 3 ms to unpack."""

    image: NDArray[np.uint8]
    regions: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    visibility: NDArray[np.float32]
    known: NDArray[np.bool_] | None = None


def pack(sample: Sample, *, quality: int = 92) -> PackedSample:
    """Compress; the picture loses a little, as every camera's does."""
    image = _encode(".jpg", sample.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    regions = _encode(".png", sample.regions, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    return PackedSample(image, regions, sample.boxes, sample.labels, sample.visibility, sample.known)


def unpack(packed: PackedSample) -> Sample:
    """The inverse of `pack`, but for what JPEG lost."""
    image = cv2.imdecode(packed.image, cv2.IMREAD_COLOR_RGB)
    regions = cv2.imdecode(packed.regions, cv2.IMREAD_GRAYSCALE)
    if image is None or regions is None:
        raise ValueError("a cached sample does not decode; delete the cache and render it again")
    return Sample(
        image.astype(np.uint8, copy=False),
        regions.astype(np.uint8, copy=False),
        packed.boxes,
        packed.labels,
        packed.visibility,
        packed.known,
    )


def _encode(extension: str, pixels: NDArray[np.uint8], options: list[int]) -> NDArray[np.uint8]:
    done, data = cv2.imencode(extension, np.ascontiguousarray(pixels), options)
    if not done:
        raise ValueError(f"a picture of shape {pixels.shape} cannot be coded as {extension}")
    return data.astype(np.uint8, copy=False)
