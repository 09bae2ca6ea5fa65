"""Which part of a file is learnt from, and which is held out to measure on."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

TRAIN: Final = 0
BETWEEN: Final = 1
HELD_OUT: Final = 2
GAP_SECONDS: Final = 2.0
LARGEST_GAP: Final = 0.05  # of a file's length


def parts_of(seconds: NDArray[np.float64], *, hold_out: float) -> NDArray[np.int8]:
    """[F]: `TRAIN`, `BETWEEN` or `HELD_OUT` for frames of one file at these times.

    The last share of the file's time is held out as one stretch: frames beside each other are nearly equal, and single
    ones held out would measure what was learnt by heart. What lies shortly before it is in neither part.

    Args:
        seconds: [F] rising.
        hold_out: share of the time, 0..1.
    """
    parts = np.full(len(seconds), TRAIN, np.int8)
    if not len(seconds) or hold_out <= 0:
        return parts
    length = float(seconds[-1] - seconds[0])
    begin = float(seconds[-1]) - hold_out * length
    gap = min(GAP_SECONDS, LARGEST_GAP * length)
    parts[seconds >= begin - gap] = BETWEEN
    parts[seconds >= begin] = HELD_OUT
    return parts
