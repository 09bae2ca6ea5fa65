"""Boxes as other schemas have them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.messages import Float32
from pipeline.wire.json_form import BOX_DECIMALS, rounded

Centred = tuple[float | None, float | None, float | None, float | None]


def centred(boxes: Float32) -> Iterator[Centred]:
    """Boxes [N, 4] xyxy as centre x, centre y, width, height, in hundredths of a pixel; null for what is no number."""
    left, top, right, bottom = boxes.astype(np.float64).reshape(-1, 4).T
    columns = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
    return zip(*(rounded(column, BOX_DECIMALS) for column in columns), strict=True)
