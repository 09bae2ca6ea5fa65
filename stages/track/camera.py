"""How a camera moved between two pictures, by corners of the background followed through sparse optical flow.

Corners: Shi and Tomasi 1994, "Good Features to Track"; flow: Lucas and Kanade in pyramids (Bouguet 2000); the motion
(shift, turn, scale) is the one most corners agree on. OpenCV does all three.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.messages import DeviceSurface, Float32, Surface, UInt8, on_host

Float64 = npt.NDArray[np.float64]

LONGEST_SIDE = 480  # pixels of the picture that corners are looked for in
_CORNERS, _QUALITY, _APART = 300, 0.01, 8
_FEWEST = 12  # corners that agree, or nothing is known
_TOLERANCE = 1.5  # pixels of the small picture that a corner may be off
_LARGEST_SHIFT, _LARGEST_TURN = 0.25, 0.35  # of the picture's side; of its size or, in radians, its direction
_STILL = 0.05  # pixels of the small picture at its corners below which nothing moved


class CameraMotion:
    """Of one source: from the last picture kept to the one asked about."""

    def __init__(self) -> None:
        self._before: UInt8 | None = None
        self._corners: Float32 | None = None  # [C, 1, 2] of the picture before

    def moved(self, surface: Surface, boxes: Float32 | None = None) -> Float64 | None:
        """The motion [2, 3] from source pixels of the picture kept last to those of this one; None for none.

        None too where there is none before it, it has another size, or corners disagree. With boxes [N, 4] this
        picture is the one that motion is told from next; corners inside them are not background.
        """
        grey = small_grey(surface)
        scale = np.array([surface.width / grey.shape[1], surface.height / grey.shape[0]])
        motion = self._motion_to(grey)
        if boxes is not None:
            self._keep(grey, boxes / np.tile(scale, 2))
        if motion is None:
            return None
        motion[:, :2] *= scale[:, None] / scale[None, :]
        motion[:, 2] *= scale
        return motion

    def _motion_to(self, grey: UInt8) -> Float64 | None:
        if self._before is None or self._corners is None or grey.shape != self._before.shape:
            return None
        return motion_of(self._before, grey, self._corners)

    def _keep(self, grey: UInt8, boxes: Float64) -> None:
        free = np.full(grey.shape, 255, np.uint8)
        limits = np.tile([grey.shape[1], grey.shape[0]], 2)
        finite = boxes[np.isfinite(boxes).all(axis=1)]
        for left, top, right, bottom in np.clip(finite, 0, limits).astype(int).tolist():
            free[top : bottom + 1, left : right + 1] = 0
        corners = cv2.goodFeaturesToTrack(grey, _CORNERS, _QUALITY, _APART, mask=free)
        self._before = grey
        self._corners = None if corners is None or len(corners) < _FEWEST else corners.astype(np.float32)


def small_grey(surface: Surface) -> UInt8:
    """Brightness [h, w] at no more than `LONGEST_SIDE`, each pixel a mean."""
    if isinstance(surface, DeviceSurface):
        surface = on_host(surface)
    plane = surface.planes[0]
    grey = cv2.cvtColor(plane, cv2.COLOR_RGB2GRAY) if surface.format == "rgb24" else plane
    share = min(LONGEST_SIDE / max(grey.shape), 1.0)
    size = (max(round(grey.shape[1] * share), 1), max(round(grey.shape[0] * share), 1))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def motion_of(before: UInt8, now: UInt8, corners: Float32) -> Float64 | None:
    """The motion [2, 3] that most of `corners` [C, 1, 2] made from one picture [h, w] to the next; None for none."""
    there, seen, _ = cv2.calcOpticalFlowPyrLK(before, now, corners, None, winSize=(15, 15), maxLevel=3)  # type: ignore[call-overload]
    followed = seen.ravel() == 1
    count = int(followed.sum())
    if count < _FEWEST:
        return None
    cv2.setRNGSeed(0)  # the same pictures give the same motion
    found, agreed = cv2.estimateAffinePartial2D(
        corners[followed], there[followed], method=cv2.RANSAC, ransacReprojThreshold=_TOLERANCE
    )
    if found is None or int(agreed.sum()) < max(_FEWEST, count // 3):
        return None
    found = np.asarray(found, np.float64)
    height, width = before.shape
    if (
        np.abs(found[:, 2] / (width, height)).max() > _LARGEST_SHIFT
        or np.abs(found[:, :2] - np.eye(2)).max() > _LARGEST_TURN
    ):
        return None
    ends = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], np.float64)
    if np.abs(ends @ found.T - ends[:, :2]).max() < _STILL:
        return None
    return found
