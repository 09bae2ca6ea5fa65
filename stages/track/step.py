"""The compiled step of trackers: all frames of a batch, of any sources, in one call.

ByteTrack (Zhang et al., 2022): confident boxes are matched first, to all tracks; what is left of the tracks seen last
time may be continued by a doubtful box; doubtful boxes never start a track.

OC-SORT (Cao et al., 2023) adds what rests on observations rather than on the filter's guesses: going on in the
direction seen counts in favour of a box, what is left of tracks is matched once more where it was last seen, and a
track found again has its filter led along the straight line in between. Its angle is taken as half its cosine here.

C-BIoU (Yang et al., 2023) matches boxes widened by a share of their size, and what is left by a larger share.

Followed by masks, what a panoptic map shows is followed: a detection with a segment is confident whatever its score,
and masks' overlap counts beside boxes': that of a track's last mask, moved to where its box is expected, with the
detection's. A camera's own motion, where it is told, moves all tracks first.

Tracks move by a constant-velocity Kalman filter in closed form. Centre x, centre y, width and height of a box move
independently of each other, so a track is four filters of two numbers each (position, velocity) instead of one of
eight, and nothing is inverted. Noise scales with the box, as in DeepSORT (Wojke et al., 2017), but is stated per
second, so that stepping 80 ms at once equals stepping 40 ms twice. A state is [4, 5]: of cx, cy, w, h the position,
velocity, and the variances position², position·velocity, velocity². Pixels and seconds.

The slow form, a frame at a time with numpy and scipy, is in tests/stages/track/slow; the two are equal to the bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from pipeline.messages import Float32, Int32, Int64, TrackState, UInt8
from stages.compiled import compiled, inlined, read_only, several

Float64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

TENTATIVE, CONFIRMED, LOST = int(TrackState.TENTATIVE), int(TrackState.CONFIRMED), int(TrackState.LOST)
ENDED, LEFT = int(TrackState.ENDED), int(TrackState.LEFT)

# In box sizes: widths for cx and w, heights for cy and h. DeepSORT's figures (1/20 and 1/160 of the height a frame) at
# 30 frames a second.
MEASUREMENT_STD = 0.05
POSITION_STD_PER_SQRT_SECOND = 0.27  # random walk: what constant velocity does not explain
VELOCITY_STD_PER_SQRT_SECOND = 1.0
FIRST_VELOCITY_STD = 1.9  # sizes a second; of a new track nothing is known

PATCH = 8  # cells a side of a mask, over its box

_SMALLEST_SIZE = 1.0  # pixels; a box predicted to shrink stays a box
_LEAST_VALUE = 1e-6  # of a pair that may be matched
_MOST_STEPS = 60  # along the line to where a track was found again
_ANCHOR, _LATEST, _LATEST_TIME, _DIRECTION = 0, 2, 4, 5  # columns of a course


@compiled(types.void(types.float64[:, ::1], read_only("float32", 1)))
def _begin(state: Float64, box: Float32) -> None:
    """The state [4, 5] of a track first seen at a box."""
    for axis in range(4):
        low, high = np.float64(box[axis % 2]), np.float64(box[2 + axis % 2])
        size = max(high - low, _SMALLEST_SIZE)
        state[axis, 0] = (low + high) / 2.0 if axis < 2 else size
        state[axis, 1] = state[axis, 3] = 0.0
        state[axis, 2] = (2 * MEASUREMENT_STD * size) ** 2
        state[axis, 4] = (FIRST_VELOCITY_STD * size) ** 2


@compiled(types.void(types.float64[:, ::1], types.float64[:, ::1]))
def _copy(state: Float64, to: Float64) -> None:
    """A state, elsewhere."""
    for axis in range(4):
        for value in range(5):
            to[axis, value] = state[axis, value]


@compiled(types.void(types.float64[:, ::1], types.float64))
def _predict(state: Float64, seconds: float) -> None:
    """Moves a state on."""
    width, height = max(state[2, 0], _SMALLEST_SIZE), max(state[3, 0], _SMALLEST_SIZE)
    for axis in range(4):
        of = state[axis]
        size = width if axis % 2 == 0 else height
        walk = (POSITION_STD_PER_SQRT_SECOND * size) ** 2
        drift = (VELOCITY_STD_PER_SQRT_SECOND * size) ** 2
        of[0] += seconds * of[1]
        of[2] += seconds * (2.0 * of[3] + seconds * of[4] + walk + seconds * seconds * drift / 3.0)
        of[3] += seconds * (of[4] + seconds * drift / 2.0)
        of[4] += seconds * drift
    for axis in range(2, 4):
        state[axis, 0] = max(state[axis, 0], _SMALLEST_SIZE)


@compiled(types.void(types.float64[:, ::1], read_only("float32", 1)))
def _correct(state: Float64, box: Float32) -> None:
    """A state sees a box."""
    width, height = max(state[2, 0], _SMALLEST_SIZE), max(state[3, 0], _SMALLEST_SIZE)
    for axis in range(4):
        low, high = np.float64(box[axis % 2]), np.float64(box[2 + axis % 2])
        seen = (low + high) / 2.0 if axis < 2 else high - low
        size = width if axis % 2 == 0 else height
        of = state[axis]
        total = of[2] + (MEASUREMENT_STD * size) ** 2
        gain, velocity_gain = of[2] / total, of[3] / total
        surprise = seen - of[0]
        of[0] += gain * surprise
        of[1] += velocity_gain * surprise
        of[4] -= velocity_gain * of[3]
        of[3] -= gain * of[3]
        of[2] -= gain * of[2]


@compiled(types.void(types.float64[:, ::1], types.float32[::1]))
def _place(state: Float64, box: Float32) -> None:
    """The box xyxy where a state stands."""
    for axis in range(2):
        centre, half = state[axis, 0], state[2 + axis, 0] / 2.0
        box[axis], box[2 + axis] = centre - half, centre + half


@compiled(types.void(read_only("float64", 2), types.int64[::1]))
def assign(costs: Float64, column_of: Int64) -> None:
    """The column of each row of costs [R, C], R <= C, so that their costs sum to the least.

    Shortest augmenting paths (Crouse, 2016), with the order of search and the ties of `scipy.optimize`.
    """
    rows, columns = costs.shape
    u, v, shortest = np.zeros(rows), np.zeros(columns), np.empty(columns)
    path, row_of, remaining = np.full(columns, -1), np.full(columns, -1), np.empty(columns, np.int64)
    in_rows, in_columns = np.empty(rows, np.bool_), np.empty(columns, np.bool_)
    column_of[:] = -1
    for first in range(rows):
        left = columns
        for j in range(columns):
            remaining[j] = columns - j - 1
            in_columns[j], shortest[j] = False, np.inf
        in_rows[:] = False
        least, sink, i = 0.0, -1, first
        while sink == -1:
            index, lowest = -1, np.inf
            in_rows[i] = True
            for at in range(left):
                j = remaining[at]
                reduced = least + costs[i, j] - u[i] - v[j]
                if reduced < shortest[j]:
                    path[j], shortest[j] = i, reduced
                if shortest[j] < lowest or (shortest[j] == lowest and row_of[j] == -1):
                    lowest, index = shortest[j], at
            if index < 0:  # not a number among the costs: what is assigned so far stays
                return
            least = lowest
            j = remaining[index]
            if row_of[j] == -1:
                sink = j
            else:
                i = row_of[j]
            in_columns[j] = True
            left -= 1
            remaining[index] = remaining[left]
        u[first] += least
        for i in range(rows):
            if in_rows[i] and i != first:
                u[i] += least - shortest[column_of[i]]
        for j in range(columns):
            if in_columns[j]:
                v[j] -= least - shortest[j]
        j, i = sink, -1
        while i != first:
            i = path[j]
            row_of[j] = i
            column_of[i], j = j, column_of[i]


@inlined
def _overlap(a: Float32, b: Float32, smallest: float) -> float:
    """Overlap over union of two boxes; 0 below `smallest`."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width > 0.0 and height > 0.0:
        overlap = np.float64(width) * np.float64(height)
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap
        if overlap >= smallest * union:
            share: float = overlap / union
            return share
    return 0.0


@inlined
def _mask_overlap(a: UInt8, a_fill: float, at: Float32, b: UInt8, b_fill: float, to: Float32, columns: Int64) -> float:
    """Overlap over union of two masks [PATCH * PATCH] over boxes xyxy, by looking up each cell of the second.

    Needs room for `columns` [PATCH].
    """
    left, top = np.float64(at[0]), np.float64(at[1])
    across, down = np.float64(at[2]) - left, np.float64(at[3]) - top
    wide, high = np.float64(to[2]) - np.float64(to[0]), np.float64(to[3]) - np.float64(to[1])
    if across <= 0.0 or down <= 0.0 or wide <= 0.0 or high <= 0.0:
        return 0.0
    for column in range(PATCH):
        x = (np.float64(to[0]) + (column + 0.5) / PATCH * wide - left) / across * PATCH
        columns[column] = int(x) if 0.0 <= x < PATCH else -1
    common = 0
    for row in range(PATCH):
        y = (np.float64(to[1]) + (row + 0.5) / PATCH * high - top) / down * PATCH
        if y < 0.0 or y >= PATCH:
            continue
        cells = int(y) * PATCH
        for column in range(PATCH):
            if columns[column] >= 0:
                common += a[cells + columns[column]] & b[row * PATCH + column]
    shared = common * (wide * high) / (PATCH * PATCH)
    union = a_fill * across * down + b_fill * wide * high - shared
    share: float = min(shared / union, 1.0) if union > 0.0 else 0.0
    return share


@inlined
def _agreement(course: Float64, box: Float32) -> float:
    """Half the cosine between the direction that a track was seen to go in and that to a box; 0 where unknown."""
    x = (np.float64(box[0]) + np.float64(box[2])) / 2.0 - course[_ANCHOR]
    y = (np.float64(box[1]) + np.float64(box[3])) / 2.0 - course[_ANCHOR + 1]
    length = np.sqrt(x * x + y * y)
    if not length > 0.0:
        return 0.0
    half: float = (x * course[_DIRECTION] + y * course[_DIRECTION + 1]) / length / 2.0
    return half


@compiled(types.void(types.float64[::1], read_only("float32", 1), types.float64, types.float64))
def _head(course: Float64, box: Float32, now: float, reach: float) -> None:
    """A course goes on to a box: the direction is that from where it was `reach` to two `reach` seconds ago."""
    x = (np.float64(box[0]) + np.float64(box[2])) / 2.0
    y = (np.float64(box[1]) + np.float64(box[3])) / 2.0
    across, down = x - course[_ANCHOR], y - course[_ANCHOR + 1]
    length = np.sqrt(across * across + down * down)
    course[_DIRECTION] = across / length if length > 0.0 else 0.0
    course[_DIRECTION + 1] = down / length if length > 0.0 else 0.0
    if now - course[_LATEST_TIME] >= reach:
        course[_ANCHOR], course[_ANCHOR + 1] = course[_LATEST], course[_LATEST + 1]
        course[_LATEST], course[_LATEST + 1], course[_LATEST_TIME] = x, y, now


@compiled(types.void(types.float64[::1], read_only("float32", 1), types.float64))
def _set_out(course: Float64, box: Float32, now: float) -> None:
    """A course begins at a box."""
    for at in (_ANCHOR, _LATEST):
        course[at] = (np.float64(box[0]) + np.float64(box[2])) / 2.0
        course[at + 1] = (np.float64(box[1]) + np.float64(box[3])) / 2.0
    course[_LATEST_TIME] = now
    course[_DIRECTION] = course[_DIRECTION + 1] = 0.0


@compiled(types.void(types.float64[:, ::1], read_only("float64", 1)))
def _shift(state: Float64, motion: Float64) -> None:
    """A state seen by a camera that has moved: `motion` is a, b, c, d, x, y of x' = ax + by + x, y' = cx + dy + y."""
    scale = np.sqrt(abs(motion[0] * motion[3] - motion[1] * motion[2]))
    x, y, along, down = state[0, 0], state[1, 0], state[0, 1], state[1, 1]
    state[0, 0] = motion[0] * x + motion[1] * y + motion[4]
    state[1, 0] = motion[2] * x + motion[3] * y + motion[5]
    state[0, 1] = motion[0] * along + motion[1] * down
    state[1, 1] = motion[2] * along + motion[3] * down
    for axis in range(4):
        for value in range(2, 5):
            state[axis, value] *= scale * scale
    for axis in range(2, 4):
        state[axis, 0] *= scale
        state[axis, 1] *= scale


@compiled(types.void(types.float32[::1], types.float64[::1], read_only("float64", 1)))
def _shift_seen(box: Float32, course: Float64, motion: Float64) -> None:
    """Where a track was seen, and its course, likewise."""
    scale = np.sqrt(abs(motion[0] * motion[3] - motion[1] * motion[2]))
    x, y = (np.float64(box[0]) + np.float64(box[2])) / 2.0, (np.float64(box[1]) + np.float64(box[3])) / 2.0
    half_width = (np.float64(box[2]) - np.float64(box[0])) * scale / 2.0
    half_height = (np.float64(box[3]) - np.float64(box[1])) * scale / 2.0
    centre_x = motion[0] * x + motion[1] * y + motion[4]
    centre_y = motion[2] * x + motion[3] * y + motion[5]
    box[0], box[1] = centre_x - half_width, centre_y - half_height
    box[2], box[3] = centre_x + half_width, centre_y + half_height
    for at in (_ANCHOR, _LATEST, _DIRECTION):
        x, y = course[at], course[at + 1]
        course[at] = motion[0] * x + motion[1] * y
        course[at + 1] = motion[2] * x + motion[3] * y
        if at != _DIRECTION:
            course[at] += motion[4]
            course[at + 1] += motion[5]
        elif scale > 0.0:
            course[at] /= scale
            course[at + 1] /= scale


@compiled(
    types.void(types.float64[:, ::1], read_only("float32", 1), read_only("float32", 1), types.float64, types.int64)
)
def _lead(state: Float64, seen: Float32, box: Float32, seconds: float, steps: int) -> None:
    """A state last corrected by what was `seen` is led to a box by steps along the straight line between them."""
    between = np.empty(4, np.float32)
    for step_number in range(1, steps + 1):
        share = step_number / steps
        for side in range(4):
            between[side] = np.float64(seen[side]) + share * (np.float64(box[side]) - np.float64(seen[side]))
        _predict(state, seconds / steps)
        _correct(state, between)


@compiled(types.void(read_only("float32", 2), types.int64, types.float64, types.float32[:, ::1]))
def _widen(boxes: Float32, count: int, share: float, wide: Float32) -> None:
    """The first boxes, wider by a share of their size at every side."""
    for k in range(count):
        more_x = share * (np.float64(boxes[k, 2]) - np.float64(boxes[k, 0]))
        more_y = share * (np.float64(boxes[k, 3]) - np.float64(boxes[k, 1]))
        wide[k, 0], wide[k, 1] = np.float64(boxes[k, 0]) - more_x, np.float64(boxes[k, 1]) - more_y
        wide[k, 2], wide[k, 3] = np.float64(boxes[k, 2]) + more_x, np.float64(boxes[k, 3]) + more_y


# Of all tracks: labels [M], courses [M, 7], masks [M, PATCH * PATCH], the share of its box that each covers [M].
_TRACKS = several(types.int32[::1], types.float64[:, ::1], types.uint8[:, ::1], types.float32[::1])
# Of a frame's detections: boxes [N, 4], scores [N], labels [N], masks [N, PATCH * PATCH], shares [N].
_FOUND = several(
    read_only("float32", 2),
    read_only("float32", 1),
    read_only("int32", 1),
    read_only("uint8", 2),
    read_only("float32", 1),
)


@compiled(
    types.int64(
        types.int64[::1], types.int64, read_only("float32", 2), read_only("float32", 2), _TRACKS,
        types.int64[::1], types.int64, read_only("float32", 2), _FOUND,
        types.float64, types.float64, types.float64, types.int64[::1],
    )
)  # fmt: skip
def pair(
    rows: Int64,  # tracks that take part, the first `many`
    many: int,
    expected: Float32,  # [M, 4] of all tracks
    wide_expected: Float32,  # [M, 4] those, widened
    tracks: tuple[Int32, Float64, UInt8, Float32],
    columns: Int64,  # boxes that take part, the first `few`; those left over are moved to the front
    few: int,
    wide_boxes: Float32,  # [N, 4] of all detections, widened
    found: tuple[Float32, Float32, Int32, UInt8, Float32],
    smallest: float,
    direction_weight: float,
    mask_weight: float,
    matched: Int64,  # [M] box of each track, written here
) -> int:
    """Gives tracks boxes of their label so that the overlaps sum to the most; how many boxes are left over."""
    if many == 0 or few == 0:
        return few
    track_labels, courses, track_masks, track_fills = tracks
    boxes, scores, labels, masks, fills = found
    cells = np.empty(PATCH, np.int64)
    turned = few < many  # a row needs a column
    costs = np.zeros((few, many)) if turned else np.zeros((many, few))
    for r in range(many):
        t = rows[r]
        for c in range(few):
            j = columns[c]
            if track_labels[t] != labels[j]:
                continue
            value = _overlap(wide_expected[t], wide_boxes[j], smallest)
            if value <= 0.0:
                continue
            if mask_weight > 0.0 and track_fills[t] > 0.0 and fills[j] > 0.0:
                alike = _mask_overlap(
                    track_masks[t], np.float64(track_fills[t]), expected[t],
                    masks[j], np.float64(fills[j]), boxes[j], cells,
                )  # fmt: skip
                value = (1.0 - mask_weight) * value + mask_weight * alike
            if direction_weight > 0.0:
                value += direction_weight * np.float64(scores[j]) * _agreement(courses[t], boxes[j])
            value = max(value, _LEAST_VALUE)
            if turned:
                costs[c, r] = -value
            else:
                costs[r, c] = -value
    column_of = np.empty(len(costs), np.int64)
    assign(costs, column_of)
    taken = np.zeros(few, np.bool_)
    for i in range(len(costs)):
        j = column_of[i]
        if j >= 0 and costs[i, j] < 0.0:
            r, c = (j, i) if turned else (i, j)
            matched[rows[r]] = columns[c]
            taken[c] = True
    free = 0
    for c in range(few):
        if not taken[c]:
            columns[free] = columns[c]
            free += 1
    return free


@inlined
def _outside(box: Float32, size: Int64) -> bool:
    """Whether nothing of a box lies in a picture."""
    inside: bool = box[0] < size[0] and box[1] < size[1] and box[2] > 0.0 and box[3] > 0.0
    return not inside


@inlined
def _tell_end(
    ended: Int64,
    boxes: Float32,
    labels: Int32,
    scores: Float32,
    states: UInt8,
    one: int,
    out_ids: Int64,
    out_boxes: Float32,
    out_labels: Int32,
    out_scores: Float32,
    out_states: UInt8,
    out_index: Int32,
    out: int,
) -> None:
    """Publish a track that has ended."""
    out_ids[out], out_boxes[out], out_labels[out] = ended[one], boxes[one], labels[one]
    out_scores[out], out_states[out], out_index[out] = scores[one], states[one], -1


_I64, _F64, _U8 = types.int64[::1], types.float64[::1], types.uint8[::1]
_F32, _I32 = types.float32[::1], types.int32[::1]


@compiled(
    types.int64(
        # the frames
        read_only("int64", 1), read_only("boolean", 1), read_only("float64", 1), read_only("int64", 1),
        read_only("float32", 2), read_only("float32", 1), read_only("int32", 1),
        read_only("uint8", 2), read_only("float32", 1), read_only("boolean", 1),
        read_only("float64", 2), read_only("int64", 2),
        # the trackers
        read_only("int64", 1), _I64, _F64, _I64,
        # the tracks
        types.float64[:, :, ::1], _I32, _F32, _I64, _U8, _I32, _F64,
        types.float64[:, :, ::1], types.float32[:, ::1], types.float64[:, ::1], types.uint8[:, ::1], _F32,
        # the settings
        types.float32, types.float32, types.float32, types.float64, types.float64, types.int64, types.float64,
        types.boolean, types.float64, types.float64, types.float64, types.float64, types.boolean, types.float64,
        # what is published
        _I64, types.float32[:, ::1], _I32, _F32, _U8, _I32, _I64,
    )
)  # fmt: skip
def step(
    slots: Int64,  # [B] the tracker of each frame, -1 for none; frames of one tracker in order
    analysed: Bools,  # [B] false: tracks are only predicted, and nothing changes
    times: Float64,  # [B] seconds, each later than its tracker's last
    bounds: Int64,  # [B + 1] detections bounds[i] to bounds[i + 1] are frame i's
    boxes: Float32,  # [N, 4] xyxy
    scores: Float32,  # [N]
    labels: Int32,  # [N]
    masks: UInt8,  # [N, PATCH * PATCH] each over its box; [0, PATCH * PATCH] where masks do not count
    fills: Float32,  # [N] share of its box that a mask covers, 0 without one; as long as `masks`
    shown: Bools,  # [N] whether a map shows it, though no cell of its mask may be covered; as long as `masks`
    motions: Float64,  # [B, 6] see `_shift`: from the tracker's last analysed frame to this; nan: none. [0, 6]: nowhere
    sizes: Int64,  # [B, 2] width and height of the pictures, pixels; [0, 2]: not known
    starts: Int64,  # [S] first row of each tracker; it has room for a track a detection, besides those it has
    counts: Int64,  # [S] its tracks, in order of birth
    lasts: Float64,  # [S] seconds of its last frame; not a number before the first
    next_ids: Int64,  # [S]
    states: Float64,  # [R, 4, 5]
    track_labels: Int32,  # [R]
    track_scores: Float32,  # [R] of the last detection
    ids: Int64,  # [R] 0 until confirmed
    phase: UInt8,  # [R] TrackState
    sightings: Int32,  # [R]
    seen_seconds: Float64,  # [R] when it was seen last
    seen_states: Float64,  # [R, 4, 5] as it was then; this and the next two for `recover` or `direction_weight`
    seen_boxes: Float32,  # [R, 4] where
    courses: Float64,  # [R, 7]
    track_masks: UInt8,  # [R, PATCH * PATCH] of the last detection; this and the next for `by_masks`
    track_fills: Float32,  # [R]
    high_score: float,
    low_score: float,
    new_score: float,
    match_iou: float,
    second_iou: float,
    confirm_frames: int,
    lost_seconds: float,
    recover: bool,
    direction_weight: float,
    direction_seconds: float,
    buffer: float,
    wide_buffer: float,
    by_masks: bool,
    mask_weight: float,
    out_ids: Int64,  # [P] room for all tracks of all frames
    out_boxes: Float32,  # [P, 4]
    out_labels: Int32,  # [P]
    out_scores: Float32,  # [P]
    out_states: UInt8,  # [P]
    out_index: Int32,  # [P] row among its frame's detections, -1 where not seen
    out_bounds: Int64,  # [B + 1] tracks out_bounds[i] to out_bounds[i + 1] are frame i's
) -> int:
    """Every frame through its tracker; how many tracks are published: those that have an id, by rising id.

    What has ended since the frame before is published once more, as `ENDED` or, where it is expected outside the
    picture, `LEFT`. By masks, what a map shows is confident whatever its score, and may start a track.

    A tentative track that is missed once ends, so tracks are confirmed in order of birth and ids rise with the rows.
    The size of a track that is missed is not extrapolated: it would run away within a second.
    """
    out = 0
    out_bounds[0] = 0
    most = 0
    for i in range(len(slots)):
        if slots[i] >= 0:
            most = max(most, counts[slots[i]])
    most += len(scores)
    matched, expected = np.empty(most, np.int64), np.empty((most, 4), np.float32)
    rows, tentative = np.empty(most, np.int64), np.empty(most, np.int64)
    confident, doubtful = np.empty(most, np.int64), np.empty(most, np.int64)
    wide_expected, wide_boxes = np.empty((most, 4), np.float32), np.empty((most, 4), np.float32)
    ended = np.empty(most, np.int64)
    ended_labels, ended_scores = np.empty(most, np.int32), np.empty(most, np.float32)
    ended_boxes, ended_states = np.empty((most, 4), np.float32), np.empty(most, np.uint8)
    moved = np.empty((4, 5))
    observed = recover or direction_weight > 0.0
    for i in range(len(slots)):
        s = slots[i]
        if s < 0:
            out_bounds[i + 1] = out
            continue
        at, now = starts[s], times[i]
        moving = len(motions) > 0 and not np.isnan(motions[i, 0])
        first = np.isnan(lasts[s])
        elapsed = 0.0 if first else now - lasts[s]
        if not analysed[i]:
            for t in range(at, at + counts[s]):
                if ids[t] == 0:
                    continue
                _copy(states[t], moved)
                if moving:
                    _shift(moved, motions[i])
                _predict(moved, elapsed)
                _place(moved, out_boxes[out])
                out_ids[out], out_labels[out], out_scores[out] = ids[t], track_labels[t], track_scores[t]
                out_states[out], out_index[out] = phase[t], -1
                out += 1
            out_bounds[i + 1] = out
            continue

        # Time passes; what was lost too long ends.
        count = over = 0
        for t in range(at, at + counts[s]):
            if moving:
                _shift(states[t], motions[i])
                if observed:
                    _shift(seen_states[t], motions[i])
                    _shift_seen(seen_boxes[t], courses[t], motions[i])
            _predict(states[t], elapsed)
            if phase[t] == LOST and now - seen_seconds[t] > lost_seconds:
                ended[over], ended_labels[over], ended_scores[over] = ids[t], track_labels[t], track_scores[t]
                _place(states[t], ended_boxes[over])
                ended_states[over] = LEFT if len(sizes) > 0 and _outside(ended_boxes[over], sizes[i]) else ENDED
                over += 1
                continue
            to = at + count
            count += 1
            if to != t:
                _copy(states[t], states[to])
                track_labels[to], track_scores[to], ids[to] = track_labels[t], track_scores[t], ids[t]
                phase[to], sightings[to], seen_seconds[to] = phase[t], sightings[t], seen_seconds[t]
                if observed:
                    _copy(seen_states[t], seen_states[to])
                    seen_boxes[to], courses[to] = seen_boxes[t], courses[t]
                if by_masks:
                    track_masks[to], track_fills[to] = track_masks[t], track_fills[t]

        # Who sees what.
        found = bounds[i]
        own_boxes, own_scores = boxes[found : bounds[i + 1]], scores[found : bounds[i + 1]]
        own_labels = labels[found : bounds[i + 1]]
        own_masks, own_fills = masks[found : bounds[i + 1]], fills[found : bounds[i + 1]]
        own_shown = shown[found : bounds[i + 1]]
        sure = unsure = 0
        for j in range(len(own_scores)):
            box = own_boxes[j]
            if not (np.isfinite(box[0]) and np.isfinite(box[1]) and np.isfinite(box[2]) and np.isfinite(box[3])):
                continue
            if own_scores[j] >= high_score or (by_masks and own_shown[j]):
                confident[sure] = j
                sure += 1
            elif own_scores[j] >= low_score:
                doubtful[unsure] = j
                unsure += 1
        known = new = 0
        for k in range(count):
            matched[k] = -1
            _place(states[at + k], expected[k])
            if phase[at + k] == TENTATIVE:
                tentative[new] = k
                new += 1
            else:
                rows[known] = k
                known += 1
        tracks = (
            track_labels[at : at + count], courses[at : at + count],
            track_masks[at : at + count], track_fills[at : at + count],
        )  # fmt: skip
        own = (own_boxes, own_scores, own_labels, own_masks, own_fills)
        near, near_boxes = expected, own_boxes
        if buffer > 0.0:
            _widen(expected, count, buffer, wide_expected)
            _widen(own_boxes, len(own_boxes), buffer, wide_boxes)
            near, near_boxes = wide_expected, wide_boxes
        sure = pair(
            rows, known, expected, near, tracks, confident, sure, near_boxes, own,
            match_iou, direction_weight, mask_weight, matched,
        )  # fmt: skip
        missed = 0
        for k in range(count):
            if phase[at + k] == CONFIRMED and matched[k] < 0:
                rows[missed] = k
                missed += 1
        pair(
            rows, missed, expected, expected, tracks, doubtful, unsure, own_boxes, own,
            second_iou, 0.0, mask_weight, matched,
        )  # fmt: skip
        if recover or wide_buffer > 0.0:
            missed = 0
            for k in range(count):
                if phase[at + k] != TENTATIVE and matched[k] < 0:
                    rows[missed] = k
                    missed += 1
            last = seen_boxes[at : at + count] if recover else expected
            near, near_boxes = last, own_boxes
            if wide_buffer > 0.0:
                _widen(last, count, wide_buffer, wide_expected)
                _widen(own_boxes, len(own_boxes), wide_buffer, wide_boxes)
                near, near_boxes = wide_expected, wide_boxes
            sure = pair(
                rows, missed, last, near, tracks, confident, sure, near_boxes, own,
                match_iou, 0.0, mask_weight, matched,
            )  # fmt: skip
        sure = pair(
            tentative, new, expected, expected, tracks, confident, sure, own_boxes, own,
            match_iou, 0.0, mask_weight, matched,
        )  # fmt: skip

        # The seen are corrected; the missed are lost, and end if tentative.
        kept = 0
        for k in range(count):
            t, j = at + k, matched[k]
            if j < 0:
                if phase[t] == TENTATIVE:
                    continue
                phase[t] = LOST
                states[t, 2, 1] = states[t, 3, 1] = 0.0
            else:
                if recover and phase[t] == LOST:
                    unseen = now - seen_seconds[t]
                    steps = min(max(int(unseen / elapsed + 0.5), 1), _MOST_STEPS)
                    _copy(seen_states[t], states[t])
                    _lead(states[t], seen_boxes[t], own_boxes[j], unseen, steps)
                else:
                    _correct(states[t], own_boxes[j])
                if observed:
                    _copy(states[t], seen_states[t])
                    seen_boxes[t] = own_boxes[j]
                    _head(courses[t], own_boxes[j], now, direction_seconds)
                if by_masks and own_fills[j] > 0.0:
                    track_masks[t], track_fills[t] = own_masks[j], own_fills[j]
                track_scores[t], seen_seconds[t] = own_scores[j], now
                sightings[t] += 1
                if phase[t] != TENTATIVE or sightings[t] >= confirm_frames:
                    phase[t] = CONFIRMED
            to = at + kept
            if to != t:
                _copy(states[t], states[to])
                track_labels[to], track_scores[to], ids[to] = track_labels[t], track_scores[t], ids[t]
                phase[to], sightings[to], seen_seconds[to] = phase[t], sightings[t], seen_seconds[t]
                matched[kept] = j
                if observed:
                    _copy(seen_states[t], seen_states[to])
                    seen_boxes[to], courses[to] = seen_boxes[t], courses[t]
                if by_masks:
                    track_masks[to], track_fills[to] = track_masks[t], track_fills[t]
            kept += 1

        # What nobody claims starts a track.
        for c in range(sure):
            j = confident[c]
            if own_scores[j] < new_score and not (by_masks and own_shown[j]):
                continue
            t = at + kept
            _begin(states[t], own_boxes[j])
            track_labels[t], track_scores[t], ids[t] = own_labels[j], own_scores[j], 0
            phase[t] = CONFIRMED if first or confirm_frames == 1 else TENTATIVE
            sightings[t], seen_seconds[t], matched[kept] = 1, now, j
            if observed:
                _copy(states[t], seen_states[t])
                seen_boxes[t] = own_boxes[j]
                _set_out(courses[t], own_boxes[j], now)
            if by_masks:
                track_masks[t], track_fills[t] = own_masks[j], own_fills[j]
            kept += 1
        counts[s], lasts[s] = kept, now

        told = 0
        for k in range(kept):
            t, j = at + k, matched[k]
            if phase[t] == CONFIRMED and ids[t] == 0:
                ids[t] = next_ids[s]
                next_ids[s] += 1
            if ids[t] == 0:
                continue
            while told < over and ended[told] < ids[t]:
                _tell_end(ended, ended_boxes, ended_labels, ended_scores, ended_states, told, out_ids, out_boxes,
                          out_labels, out_scores, out_states, out_index, out)  # fmt: skip
                told, out = told + 1, out + 1
            if j >= 0:
                for side in range(4):
                    out_boxes[out, side] = own_boxes[j, side]
            else:
                _place(states[t], out_boxes[out])
            out_ids[out], out_labels[out], out_scores[out] = ids[t], track_labels[t], track_scores[t]
            out_states[out], out_index[out] = phase[t], j
            out += 1
        while told < over:
            _tell_end(ended, ended_boxes, ended_labels, ended_scores, ended_states, told, out_ids, out_boxes,
                      out_labels, out_scores, out_states, out_index, out)  # fmt: skip
            told, out = told + 1, out + 1
        out_bounds[i + 1] = out
    return out
