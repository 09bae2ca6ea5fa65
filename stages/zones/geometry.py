"""Points, moves and polygons: pure functions on arrays, for every track and every line or zone of a frame at once.

Coordinates are pixels of the source picture, x to the right, y down.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]  # [N, 2]
Bools = npt.NDArray[np.bool_]


def crossings(before: Points, after: Points, starts: Points, ends: Points) -> npt.NDArray[np.int8]:
    """Which straight moves cross which segments, and how: int8 [N, S].

    1 for a move from the left of the segment to its right, looking from start to end; -1 for the other way; 0 for
    none. A point on a segment counts as to its right, and so does an end of the segment that the move goes through: of
    two segments that meet there exactly one is crossed, and moves that follow each other add up.
    """
    right_before = _is_right(before[:, None], starts, ends)  # [N, S]
    right_after = _is_right(after[:, None], starts, ends)
    parted = _is_right(starts, before[:, None], after[:, None]) != _is_right(ends, before[:, None], after[:, None])
    return np.where(parted, right_after.astype(np.int8) - right_before, 0).astype(np.int8)


def _is_right(points: Points, starts: Points, ends: Points) -> Bools:
    """Whether points lie to the right of, or on, the straight lines through two points; by the usual broadcasting."""
    along, off = ends - starts, points - starts
    return np.asarray(along[..., 0] * off[..., 1] - along[..., 1] * off[..., 0] >= 0)


def inside(points: Points, starts: Points, ends: Points) -> Bools:
    """Which edges a ray from each point to the right passes: bool [N, E]; an odd number of a polygon's means inside.

    Half-open, so that of polygons that share an edge each point is in exactly one.
    """
    x, y = points[:, None, 0], points[:, None, 1]  # [N, 1]
    (x0, y0), (x1, y1) = starts.T, ends.T  # [E]
    spans = (y0 <= y) != (y1 <= y)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
    return np.asarray(spans & (x < at))


def distances(points: Points, starts: Points, ends: Points) -> npt.NDArray[np.float64]:
    """From points to segments, in pixels: [N, S]."""
    along = ends - starts  # [S, 2]
    length = np.maximum((along**2).sum(-1), np.finfo(np.float64).tiny)
    off = points[:, None] - starts  # [N, S, 2]
    share = np.clip((off * along).sum(-1) / length, 0.0, 1.0)
    return np.asarray(np.linalg.norm(off - share[..., None] * along, axis=-1))
