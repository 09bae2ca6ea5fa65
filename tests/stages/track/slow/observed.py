"""What OC-SORT, C-BIoU, masks and a moving camera add to a tracker, a track at a time.

A course is where a track was `REACH` to two `REACH` ago (x, y), where it was at most `REACH` ago (x, y, seconds), and
the direction it was last seen to go in (x, y, of length 1; 0 where unknown).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.messages import Float32, UInt8
from stages.track.step import PATCH
from tests.stages.track.slow import motion

Float64 = npt.NDArray[np.float64]
Pair = tuple[Float64, Float64]

REACH = 0.1
MOST_STEPS = 60


def centres_of(boxes: Float32) -> Float64:
    """Of [N, 4], [N, 2]."""
    corners = boxes.astype(np.float64)
    return np.asarray((corners[:, :2] + corners[:, 2:]) / 2)


def courses_of(boxes: Float32, seconds: float) -> Float64:
    """Courses [N, 7] that begin at boxes [N, 4]."""
    centres = centres_of(boxes)
    times, nowhere = np.full((len(boxes), 1), seconds), np.zeros((len(boxes), 2))
    return np.concatenate([centres, centres, times, nowhere], axis=1)


def gone_on(course: Float64, box: Float32, seconds: float) -> Float64:
    """A course [7] after its track was seen at a box [4]."""
    anchor, latest, since = course[:2], course[2:4], course[4]
    centre = centres_of(box[None])[0]
    way = centre - anchor
    length = np.sqrt(way[0] * way[0] + way[1] * way[1])
    direction = way / length if length > 0 else np.zeros(2)
    if seconds - since >= REACH:
        anchor, latest, since = latest, centre, seconds
    return np.array([*anchor, *latest, since, *direction])


def agreement(course: Float64, box: Float32) -> float:
    """Half the cosine between a course's direction and that from its anchor to a box."""
    way = centres_of(box[None])[0] - course[:2]
    length = np.sqrt(way[0] * way[0] + way[1] * way[1])
    return float((way[0] * course[5] + way[1] * course[6]) / length / 2) if length > 0 else 0.0


def led(state: Float64, seen: Float32, box: Float32, seconds: float, elapsed: float) -> Float64:
    """A state [4, 5] led from where it was seen to a box, a frame a step."""
    states = state[None].copy()
    steps = min(max(int(seconds / elapsed + 0.5), 1), MOST_STEPS)
    start, end = seen.astype(np.float64), box.astype(np.float64)
    for number in range(1, steps + 1):
        motion.predict(states, seconds / steps)
        between = (start + number / steps * (end - start)).astype(np.float32)
        motion.correct(states, between[None], np.zeros(1, np.int64))
    return np.asarray(states[0])


def widened(boxes: Float32, share: float) -> Float32:
    """Boxes [N, 4] wider by a share of their size at every side."""
    corners = boxes.astype(np.float64)
    more = share * (corners[:, 2:] - corners[:, :2])
    return np.concatenate([corners[:, :2] - more, corners[:, 2:] + more], axis=1).astype(np.float32)


def mask_overlap(a: UInt8, a_fill: float, at: Float32, b: UInt8, b_fill: float, to: Float32) -> float:
    """Overlap over union of two masks [PATCH * PATCH] over boxes [4], the second's cells looked up in the first."""
    low, size = at[:2].astype(np.float64), at[2:].astype(np.float64) - at[:2].astype(np.float64)
    other_low, other_size = to[:2].astype(np.float64), to[2:].astype(np.float64) - to[:2].astype(np.float64)
    if (size <= 0).any() or (other_size <= 0).any():
        return 0.0
    steps = (np.arange(PATCH) + 0.5) / PATCH
    x, y = ((other_low[i] + steps * other_size[i] - low[i]) / size[i] * PATCH for i in (0, 1))
    inside = ((y >= 0) & (y < PATCH))[:, None] & ((x >= 0) & (x < PATCH))
    rows, columns = np.clip(y.astype(int), 0, PATCH - 1), np.clip(x.astype(int), 0, PATCH - 1)
    looked_up = a.reshape(PATCH, PATCH)[rows][:, columns] & inside
    common = int((looked_up & b.reshape(PATCH, PATCH)).sum())
    shared = common * (other_size[0] * other_size[1]) / (PATCH * PATCH)
    union = a_fill * size[0] * size[1] + b_fill * other_size[0] * other_size[1] - shared
    return float(min(shared / union, 1.0)) if union > 0 else 0.0


def shifted(states: Float64, camera: Float64) -> Float64:
    """States [M, 4, 5] after the camera moved by [2, 3]."""
    (a, b, x0), (c, d, y0) = camera
    scale = np.sqrt(abs(a * d - b * c))
    moved = states.copy()
    x, y, along, down = states[:, 0, 0], states[:, 1, 0], states[:, 0, 1], states[:, 1, 1]
    moved[:, 0, 0], moved[:, 1, 0] = a * x + b * y + x0, c * x + d * y + y0
    moved[:, 0, 1], moved[:, 1, 1] = a * along + b * down, c * along + d * down
    moved[:, :, 2:] *= scale * scale
    moved[:, 2:, :2] *= scale
    return moved


def shifted_boxes(boxes: Float32, camera: Float64) -> Float32:
    """Boxes [M, 4], likewise."""
    (a, b, x0), (c, d, y0) = camera
    scale = np.sqrt(abs(a * d - b * c))
    centres, corners = centres_of(boxes), boxes.astype(np.float64)
    half = (corners[:, 2:] - corners[:, :2]) * scale / 2
    x, y = a * centres[:, 0] + b * centres[:, 1] + x0, c * centres[:, 0] + d * centres[:, 1] + y0
    moved = np.stack([x, y], axis=1)
    return np.concatenate([moved - half, moved + half], axis=1).astype(np.float32)


def shifted_courses(courses: Float64, camera: Float64) -> Float64:
    """Courses [M, 7], likewise."""
    (a, b, x0), (c, d, y0) = camera
    scale = np.sqrt(abs(a * d - b * c))
    moved = courses.copy()
    for at, x1, y1 in ((0, x0, y0), (2, x0, y0), (5, 0.0, 0.0)):
        x, y = courses[:, at], courses[:, at + 1]
        moved[:, at], moved[:, at + 1] = a * x + b * y + x1, c * x + d * y + y1
    moved[:, 5:] /= scale
    return moved
