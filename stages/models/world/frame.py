"""One frame of the world: a picture and the exact truth about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

MIN_VISIBLE_PIXELS: Final = 12
MIN_VISIBILITY: Final = 0.04


@dataclass(frozen=True, slots=True, eq=False)
class WorldFrame:
    """A rendered picture with its truth.

    Slivers (fewer than `MIN_VISIBLE_PIXELS` pixels, or less than `MIN_VISIBILITY` of the object) are void in the id
    map and have no box: nobody could say what they are.  Every other thing in the map has a box, and every box a thing.
    """

    image: NDArray[np.uint8]  # [H, W, 3] RGB
    boxes: NDArray[np.float32]  # [N, 4] xyxy, tight around the visible pixels, in pixels of the image
    labels: NDArray[np.int64]  # [N] index into THINGS
    track_ids: NDArray[np.int64]  # [N] unique within the world, stable over time
    id_map: NDArray[np.int32]  # [H, W] 0 void, 1 + index in STUFF, 1000 + track id
    visibility: NDArray[np.float32]  # [N] visible area over the unoccluded area within the frame

    def __repr__(self) -> str:
        height, width = self.id_map.shape
        return f"WorldFrame({width}x{height}, {len(self.boxes)} things)"
