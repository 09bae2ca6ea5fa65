"""The compiled loops of the panoptic merge; the tests say the same in plain Python.

Maps are painted at `scale` times the network's output scale. Values between the network's pixels are interpolated
linearly, first along rows, then along columns, with pixel centres at halves (``align_corners=False``), within the part
of the map that shows the picture.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import types

from pipeline.messages import Float32, Int32, Int64, UInt8
from stages.compiled import compiled, inlined, read_only

UInt16 = npt.NDArray[np.uint16]

SKIPPED = -2  # label of a semantic channel that takes no part
VOID = -1  # label of a semantic channel, or of a pixel, that is nothing

_BOXES = read_only("float32", 2)
_LOGITS = read_only("float32", 3)
_LABELS = read_only("int32", 1)
_LABEL_MAP = read_only("int32", 2)
_ORDER = read_only("int64", 1)
_IDS = types.uint16[:, ::1]
_GIVEN = types.int32[::1]


@inlined
def _taps(scale: int, length: int) -> tuple[Int32, Int32, Float32]:
    """For each of `scale * length` output pixels the two input pixels it lies between and the weight of the second."""
    first = np.empty(scale * length, dtype=np.int32)
    second = np.empty(scale * length, dtype=np.int32)
    weight = np.empty(scale * length, dtype=np.float32)
    for position in range(scale * length):
        centre = (position + 0.5) / scale - 0.5
        floor = math.floor(centre)
        first[position] = max(floor, 0)
        second[position] = min(floor + 1, length - 1)
        weight[position] = centre - floor
    return first, second, weight


@compiled(types.float32[:, :, ::1](_LOGITS, types.int64, types.int64, types.int64))
def widen(logits: Float32, height: int, width: int, scale: int) -> Float32:
    """The valid part [S, height, scale * width] of logits [S, h, w], interpolated along its rows."""
    left, right, weight = _taps(scale, width)
    wide = np.empty((len(logits), height, width * scale), dtype=np.float32)
    for channel in range(len(logits)):
        for y in range(height):
            row = logits[channel, y]
            out = wide[channel, y]
            for x in range(width * scale):
                out[x] = row[left[x]] * (np.float32(1.0) - weight[x]) + row[right[x]] * weight[x]
    return wide


@compiled(types.float32[:, :, ::1](_LOGITS, types.int64))
def enlarge(logits: Float32, scale: int) -> Float32:
    """Logits [Q, h, w] as [Q, scale * h, scale * w], interpolated along rows, then along columns."""
    count, height, width = logits.shape
    left, right, across = _taps(scale, width)
    above, below, down = _taps(scale, height)
    wide = np.empty((height, width * scale), dtype=np.float32)
    out = np.empty((count, height * scale, width * scale), dtype=np.float32)
    for q in range(count):
        for y in range(height):
            row = logits[q, y]
            for x in range(width * scale):
                wide[y, x] = row[left[x]] * (np.float32(1.0) - across[x]) + row[right[x]] * across[x]
        for y in range(height * scale):
            low, high, weight = wide[above[y]], wide[below[y]], down[y]
            for x in range(width * scale):
                out[q, y, x] = low[x] * (np.float32(1.0) - weight) + high[x] * weight
    return out


@compiled(types.int32[:, ::1](_LOGITS, _LABELS, types.int64, types.int64, types.int64))
def label_map(wide: Float32, labels: Int32, height: int, width: int, scale: int) -> Int32:
    """The label [scale * height, width] of the largest logit [S, h, width] at each pixel; of equals, the first."""
    above, below, weights = _taps(scale, height)
    out = np.empty((height * scale, width), dtype=np.int32)
    largest = np.empty(width, dtype=np.float32)
    for y in range(height * scale):
        top, bottom, weight = above[y], below[y], weights[y]
        for x in range(width):
            largest[x] = -np.inf
            out[y, x] = VOID
        for channel in range(len(wide)):
            if labels[channel] == SKIPPED:
                continue
            for x in range(width):
                value = wide[channel, top, x] * (np.float32(1.0) - weight) + wide[channel, bottom, x] * weight
                larger = value > largest[x]
                largest[x] = value if larger else largest[x]
                out[y, x] = labels[channel] if larger else out[y, x]
    return out


@inlined
def _covered(low: float, high: float, length: int) -> tuple[int, int]:
    """Pixels first..last (exclusive) whose centres lie within low..high."""
    first = math.ceil(min(max(low, 0.0), float(length)) - 0.5)
    last = math.ceil(min(max(high, 0.0), float(length)) - 0.5)
    return max(first, 0), min(last, length)


@inlined
def _claim(mask: UInt8, ids: UInt16, top: int, bottom: int, left: int, right: int, max_overlap: float, new: int) -> int:
    """Paints the mask's free pixels with `new` and returns it; or 0, nothing painted, where too many are taken."""
    area = 0
    taken = 0
    for y in range(top, bottom):
        for x in range(left, right):
            area += mask[y, x]
            taken += mask[y, x] if ids[y, x] != 0 else 0
    if area == 0 or taken == area or taken > max_overlap * area:
        return 0
    for y in range(top, bottom):
        for x in range(left, right):
            if mask[y, x] != 0 and ids[y, x] == 0:
                ids[y, x] = new
    return new


@compiled(_GIVEN(_LOGITS, _BOXES, _BOXES, _ORDER, types.int64, types.int64, types.int64, types.float64, _IDS))
def paint_prototypes(
    prototypes: Float32,  # [K, h, w]
    coefficients: Float32,  # [N, K]
    boxes: Float32,  # [N, 4] xyxy, pixels of the output map
    order: Int64,  # rows to paint, best first
    height: int,  # valid rows of the prototypes
    width: int,
    scale: int,
    max_overlap: float,
    ids: UInt16,  # [scale * height, scale * width] painted in place
) -> Int32:
    """The segment id of each row [N], 0 for none: masks where ``coefficients @ prototypes > 0`` inside their boxes."""
    given = np.zeros(len(boxes), dtype=np.int32)
    near, far, across = _taps(scale, width)
    above, below, down = _taps(scale, height)
    narrow = np.empty(width, dtype=np.float32)
    wide = np.empty((height, width * scale), dtype=np.float32)
    mask = np.empty(ids.shape, dtype=np.uint8)
    new = 1
    for n in order:
        left, right = _covered(boxes[n, 0], boxes[n, 2], width * scale)
        top, bottom = _covered(boxes[n, 1], boxes[n, 3], height * scale)
        if left >= right or top >= bottom:
            continue
        for y in range(above[top], below[bottom - 1] + 1):
            first, last = near[left], far[right - 1] + 1
            for x in range(first, last):
                narrow[x] = 0.0
            for k in range(len(prototypes)):
                for x in range(first, last):
                    narrow[x] += coefficients[n, k] * prototypes[k, y, x]
            for x in range(left, right):
                wide[y, x] = narrow[near[x]] * (np.float32(1.0) - across[x]) + narrow[far[x]] * across[x]
        for y in range(top, bottom):
            low, high, weight = wide[above[y]], wide[below[y]], down[y]
            for x in range(left, right):
                mask[y, x] = low[x] * (np.float32(1.0) - weight) + high[x] * weight > 0.0
        given[n] = _claim(mask, ids, top, bottom, left, right, max_overlap, new)
        new += given[n] != 0
    return given


@compiled(_GIVEN(read_only("uint8", 3), _ORDER, types.float64, _IDS))
def paint_masks(masks: UInt8, order: Int64, max_overlap: float, ids: UInt16) -> Int32:
    """The segment id of each row [N], 0 for none: masks [N, h, w] of 0 and 1, best first, painted into ids [h, w]."""
    given = np.zeros(len(masks), dtype=np.int32)
    new = 1
    for n in order:
        given[n] = _claim(masks[n], ids, 0, ids.shape[0], 0, ids.shape[1], max_overlap, new)
        new += given[n] != 0
    return given


@compiled(_GIVEN(_LABEL_MAP, _LABELS, _BOXES, _ORDER, types.float64, _IDS))
def paint_boxes(
    label_at: Int32,  # [h, w]
    labels: Int32,  # [N]
    boxes: Float32,  # [N, 4] xyxy, pixels of the map
    order: Int64,  # rows to paint, best first
    max_overlap: float,
    ids: UInt16,  # [h, w] painted in place
) -> Int32:
    """The segment id of each row [N], 0 for none: a mask is what bears the row's label inside its box."""
    given = np.zeros(len(boxes), dtype=np.int32)
    mask = np.empty(ids.shape, dtype=np.uint8)
    new = 1
    for n in order:
        left, right = _covered(boxes[n, 0], boxes[n, 2], ids.shape[1])
        top, bottom = _covered(boxes[n, 1], boxes[n, 3], ids.shape[0])
        for y in range(top, bottom):
            for x in range(left, right):
                mask[y, x] = label_at[y, x] == labels[n]
        given[n] = _claim(mask, ids, top, bottom, left, right, max_overlap, new)
        new += given[n] != 0
    return given


@compiled(_GIVEN(_LABEL_MAP, types.int64, types.int64, types.int64, types.int64, _IDS))
def fill_stuff(label_at: Int32, first: int, last: int, smallest: int, new: int, ids: UInt16) -> Int32:
    """The segment id of each stuff label first..last (exclusive), 0 for none, from `new` on, painted on free pixels.

    A label with fewer than `smallest` free pixels stays void.
    """
    areas = np.zeros(last - first, dtype=np.int64)
    given = np.zeros(last - first, dtype=np.int32)
    for y in range(ids.shape[0]):
        for x in range(ids.shape[1]):
            label = label_at[y, x]
            if first <= label < last and ids[y, x] == 0:
                areas[label - first] += 1
    for stuff in range(last - first):
        if areas[stuff] > 0 and areas[stuff] >= smallest:
            given[stuff] = new
            new += 1
    for y in range(ids.shape[0]):
        for x in range(ids.shape[1]):
            label = label_at[y, x]
            if first <= label < last and ids[y, x] == 0:
                ids[y, x] = given[label - first]
    return given


@compiled(types.int32[:, ::1](_LOGITS, read_only("float64", 1)))
def winning_query(logits: Float32, scores: npt.NDArray[np.float64]) -> Int32:
    """The query [h, w] with the largest ``score * sigmoid(logit)`` of logits [Q, h, w], sorted by falling score.

    No product exceeds its score, so that at a pixel the search ends with the first score the best product has reached.
    """
    _, height, width = logits.shape
    winner = np.empty((height, width), dtype=np.int32)
    for y in range(height):
        for x in range(width):
            largest = -1.0
            winner[y, x] = VOID
            for q in range(len(scores)):
                if scores[q] <= largest:
                    break
                value = scores[q] / (1.0 + math.exp(-np.float64(logits[q, y, x])))
                if value > largest:
                    largest = value
                    winner[y, x] = q
    return winner


@compiled(types.int32[:, ::1](read_only("uint16", 2), types.int64))
def measure(ids: UInt16, count: int) -> Int32:
    """Tight boxes (xyxy, map pixels) and pixels [count, 5] of segments 1..count; 0 of what does not occur."""
    table = np.zeros((count, 5), dtype=np.int32)
    for y in range(ids.shape[0]):
        for x in range(ids.shape[1]):
            s = np.int64(ids[y, x]) - 1
            if s < 0:
                continue
            if table[s, 4] == 0:
                table[s, 0], table[s, 1] = x, y
            table[s, 0] = min(table[s, 0], x)
            table[s, 2] = max(table[s, 2], x + 1)
            table[s, 3] = y + 1
            table[s, 4] += 1
    return table
