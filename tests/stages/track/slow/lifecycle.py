"""The compiled loops over a table of tracks: whom a frame's boxes may continue, and what being seen or missed does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from pipeline.messages import Float32, Int32, Int64, TrackState, UInt8
from stages.compiled import compiled, read_only, several

Float64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# Plain numbers: comparing an array with a member of an enum takes numpy ten times as long.
TENTATIVE, CONFIRMED, LOST = int(TrackState.TENTATIVE), int(TrackState.CONFIRMED), int(TrackState.LOST)

_ROWS = types.int64[::1]
_TWO_OF_ROWS = several(_ROWS, _ROWS)


@compiled(
    _TWO_OF_ROWS(read_only("float32", 2), read_only("float32", 1), types.boolean[::1], types.float32, types.float32)
)
def by_score(boxes: Float32, scores: Float32, shown: Bools, high_score: float, low_score: float) -> tuple[Int64, Int64]:
    """Rows of the confident boxes of [N, 4], those shown by a map too, and of the doubtful ones; a box that is not
    finite is neither."""
    confident, doubtful = np.empty(len(scores), np.int64), np.empty(len(scores), np.int64)
    many = few = 0
    for i in range(len(scores)):
        if not np.isfinite(boxes[i]).all():
            continue
        if shown[i] or scores[i] >= high_score:
            confident[many] = i
            many += 1
        elif scores[i] >= low_score:
            doubtful[few] = i
            few += 1
    return confident[:many], doubtful[:few]


@compiled(_TWO_OF_ROWS(read_only("uint8", 1)))
def by_phase(phase: UInt8) -> tuple[Int64, Int64]:
    """Rows of the tracks of [M] that have been confirmed once, and of those that have not."""
    known, tentative = np.empty(len(phase), np.int64), np.empty(len(phase), np.int64)
    many = few = 0
    for i in range(len(phase)):
        if phase[i] == TENTATIVE:
            tentative[few] = i
            few += 1
        else:
            known[many] = i
            many += 1
    return known[:many], tentative[:few]


@compiled(_ROWS(read_only("uint8", 1), read_only("int64", 1)))
def just_missed(phase: UInt8, matched: Int64) -> Int64:
    """Rows of the tracks that were seen last time and have no box yet."""
    rows = np.empty(len(phase), np.int64)
    count = 0
    for i in range(len(phase)):
        if phase[i] == CONFIRMED and matched[i] < 0:
            rows[count] = i
            count += 1
    return rows[:count]


@compiled(
    types.boolean[::1](
        types.float64[:, :, ::1],
        types.uint8[::1],
        types.float32[::1],
        types.int32[::1],
        types.float64[::1],
        read_only("int64", 1),
        read_only("float32", 1),
        types.float64,
        types.int64,
    )
)
def settle(
    states: Float64,  # [M, 4, 5] see `motion`; these five are changed in place
    phase: UInt8,  # [M]
    scores: Float32,  # [M]
    sightings: Int32,  # [M]
    seen_seconds: Float64,  # [M]
    matched: Int64,  # [M] box of each track, -1 for none
    found_scores: Float32,  # [N]
    time_seconds: float,
    confirm_frames: int,
) -> Bools:
    """Which tracks live on [M]: one seen often enough is confirmed; one missed is lost, and ends if tentative.

    The size of one missed is not extrapolated: it would run away within a second.
    """
    keep = np.ones(len(phase), np.bool_)
    for i in range(len(phase)):
        tentative = phase[i] == TENTATIVE
        if matched[i] < 0:
            phase[i] = LOST
            states[i, 2, 1] = states[i, 3, 1] = 0.0
            keep[i] = not tentative
            continue
        scores[i] = found_scores[matched[i]]
        seen_seconds[i] = time_seconds
        sightings[i] += 1
        if not tentative or sightings[i] >= confirm_frames:
            phase[i] = CONFIRMED
    return keep


@compiled("int64(uint8[::1], int64[::1], int64)")
def name(phase: UInt8, ids: Int64, next_id: int) -> int:
    """Ids for the newly confirmed, in place and in order of birth; the next one."""
    for i in range(len(phase)):
        if phase[i] == CONFIRMED and ids[i] == 0:
            ids[i] = next_id
            next_id += 1
    return next_id
