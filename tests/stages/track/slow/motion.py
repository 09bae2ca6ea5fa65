"""How tracks move: a constant-velocity Kalman filter, in closed form.

Centre x, centre y, width and height of a box move independently of each other, so a track is four filters of two
numbers each (position, velocity) instead of one of eight: nothing is inverted and all tracks are stepped in one loop.
Noise scales with the box, as in DeepSORT (Wojke et al., 2017), but is stated per second, so that stepping 80 ms at once
equals stepping 40 ms twice.

A state is [M, 4, 5]: of cx, cy, w, h the position, velocity, and the variances position², position·velocity, velocity².
Pixels and seconds.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from pipeline.messages import Float32, Int64
from stages.compiled import compiled, inlined, read_only

Float64 = npt.NDArray[np.float64]

# In box sizes: widths for cx and w, heights for cy and h. DeepSORT's figures (1/20 and 1/160 of the height a frame) at
# 30 frames a second.
MEASUREMENT_STD = 0.05
POSITION_STD_PER_SQRT_SECOND = 0.27  # random walk: what constant velocity does not explain
VELOCITY_STD_PER_SQRT_SECOND = 1.0
FIRST_VELOCITY_STD = 1.9  # sizes a second; of a new track nothing is known

_SMALLEST_SIZE = 1.0  # pixels; a box predicted to shrink stays a box


def begin(boxes: Float64) -> Float64:
    """States [N, 4, 5] of tracks first seen at `boxes` [N, 4] xyxy."""
    states = np.zeros((len(boxes), 4, 5))
    states[:, 2:, 0] = np.maximum(boxes[:, 2:] - boxes[:, :2], _SMALLEST_SIZE)
    states[:, :2, 0] = (boxes[:, :2] + boxes[:, 2:]) / 2
    sizes = np.tile(states[:, 2:, 0], 2)  # [N, 4] w, h, w, h
    states[:, :, 2] = (2 * MEASUREMENT_STD * sizes) ** 2
    states[:, :, 4] = (FIRST_VELOCITY_STD * sizes) ** 2
    return states


@compiled("float32[:, ::1](float64[:, :, ::1])")
def boxes_of(states: Float64) -> Float32:
    """The boxes [M, 4] xyxy where states stand."""
    boxes = np.empty((len(states), 4), np.float32)
    for i in range(len(states)):
        for axis in range(2):
            centre, half = states[i, axis, 0], states[i, 2 + axis, 0] / 2.0
            boxes[i, axis], boxes[i, 2 + axis] = centre - half, centre + half
    return boxes


@inlined
def _size(states: Float64, i: int, axis: int) -> float:
    size: float = max(states[i, 2 + axis % 2, 0], _SMALLEST_SIZE)
    return size


@compiled("void(float64[:, :, ::1], float64)")
def predict(states: Float64, seconds: float) -> None:
    """Moves states on by `seconds`, in place."""
    for i in range(len(states)):
        width, height = _size(states, i, 0), _size(states, i, 1)
        for axis in range(4):
            state = states[i, axis]
            size = width if axis % 2 == 0 else height
            walk = (POSITION_STD_PER_SQRT_SECOND * size) ** 2
            drift = (VELOCITY_STD_PER_SQRT_SECOND * size) ** 2
            state[0] += seconds * state[1]
            state[2] += seconds * (2.0 * state[3] + seconds * state[4] + walk + seconds * seconds * drift / 3.0)
            state[3] += seconds * (state[4] + seconds * drift / 2.0)
            state[4] += seconds * drift
        for axis in range(2, 4):
            states[i, axis, 0] = max(states[i, axis, 0], _SMALLEST_SIZE)


@compiled(types.void(types.float64[:, :, ::1], read_only("float32", 2), read_only("int64", 1)))
def correct(states: Float64, boxes: Float32, matched: Int64) -> None:
    """States [M] see the boxes of [N, 4] xyxy that are `matched` [M] to them, in place; -1 is a state not seen."""
    for i in range(len(states)):
        j = matched[i]
        if j < 0:
            continue
        width, height = _size(states, i, 0), _size(states, i, 1)
        for axis in range(4):
            low, high = np.float64(boxes[j, axis % 2]), np.float64(boxes[j, 2 + axis % 2])
            seen = (low + high) / 2.0 if axis < 2 else high - low
            size = width if axis % 2 == 0 else height
            state = states[i, axis]
            total = state[2] + (MEASUREMENT_STD * size) ** 2
            gain, velocity_gain = state[2] / total, state[3] / total
            surprise = seen - state[0]
            state[0] += gain * surprise
            state[1] += velocity_gain * surprise
            state[4] -= velocity_gain * state[3]
            state[3] -= gain * state[3]
            state[2] -= gain * state[2]
