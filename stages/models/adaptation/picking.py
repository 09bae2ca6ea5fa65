"""Which frames are worth learning from: those that differ, not a thousand of an empty room."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

SIGNATURE: Final = (32, 18)  # columns and rows of the small picture that stands for a frame
LEAST_CHANGE: Final = 2.0  # levels, root mean square over the small picture: what noise and coding alone reach
EMPTY_WEIGHT: Final = 0.5


def signature(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A small grey picture [rows, columns] of a frame [H, W, 3], brightness as a whole taken out."""
    small = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), SIGNATURE, interpolation=cv2.INTER_AREA)
    levels = small.astype(np.int16)
    return np.asarray((levels - int(np.median(levels)) + 128).clip(0, 255), np.uint8)


def weights_of(certain: NDArray[np.int64], uncertain: NDArray[np.int64]) -> NDArray[np.float32]:
    """[F] in 0..1: how much a frame with so many sure and doubtful boxes has to teach.

    Doubtful boxes teach nothing, and hide what lies under them; a frame without any box teaches only what is not there.
    """
    share = (1 + certain) / (1 + certain + uncertain)
    return np.asarray(np.where(certain > 0, share, EMPTY_WEIGHT * share), np.float32)


def differing(
    signatures: NDArray[np.uint8], weights: NDArray[np.float32], *, limit: int, least: float = LEAST_CHANGE
) -> NDArray[np.int64]:
    """Rows of frames that differ, rising: one by one the frame that is furthest from all taken, times its weight.

    Args:
        signatures: [F, ...] from `signature`.
        weights: [F] from `weights_of`.
        limit: frames at most.
        least: the change from the nearest frame taken that makes another worth taking, in levels.
    """
    if not len(signatures) or limit < 1:
        return np.zeros(0, np.int64)
    flat = signatures.reshape(len(signatures), -1).astype(np.float32)
    norms = (flat * flat).sum(1)
    taken = [int(weights.argmax())]
    furthest = np.full(len(flat), np.inf, np.float32)  # squared, from the nearest taken
    while len(taken) < limit:
        last = taken[-1]
        distance = norms + norms[last] - 2 * (flat @ flat[last])
        furthest = np.minimum(furthest, distance.clip(0))
        furthest[last] = 0
        change = np.sqrt(furthest / flat.shape[1])
        gain = np.where(change >= least, change * weights, 0)
        best = int(gain.argmax())
        if gain[best] <= 0:
            break
        taken.append(best)
    return np.array(sorted(taken), np.int64)
