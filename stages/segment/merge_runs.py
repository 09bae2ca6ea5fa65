"""The panoptic merge of boxes and a label map (rule b of `merge`), on runs of equal labels instead of pixels.

A map of 480x270 has 130,000 pixels and some thousand runs. A box claims the parts of runs of its label that lie in it;
what nobody claims is stuff, or void. What comes out is the map's run lengths, as they go over the wire; its pixels are
never painted.
"""

from __future__ import annotations

import math
import threading
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from pipeline.messages import (
    NO_TRACK,
    Classes,
    Detections,
    Float32,
    Int32,
    LabelMap,
    PanopticRuns,
    Segments,
    Transform,
    UInt8,
)
from stages.compiled import compiled, inlined, read_only, several

UInt16 = npt.NDArray[np.uint16]
UInt32 = npt.NDArray[np.uint32]


@inlined
def _covered(low: float, high: float, length: int) -> tuple[int, int]:
    """Pixels first..last (exclusive) whose centres lie within low..high."""
    first = math.ceil(min(max(low, 0.0), float(length)) - 0.5)
    last = math.ceil(min(max(high, 0.0), float(length)) - 0.5)
    return max(first, 0), min(last, length)


@inlined
def _longer(values: npt.NDArray[Any], used: int | np.uintp, length: int) -> npt.NDArray[Any]:
    """The values that are used, with room for more."""
    longer = np.empty(length, values.dtype)
    longer[:used] = values[:used]
    return longer


# An array that is handed out costs a microsecond, so there are few.
_FOUND = several(types.uint32[::1], types.uint16[::1], types.int32[:, ::1], types.float32[::1])


@compiled(
    types.int64(
        read_only("uint8", 1), types.int64, types.int64,
        types.uint8[::1], types.uint64[::1], types.int32[::1], types.int32[::1],
    )
)  # fmt: skip
def boundaries(
    pixels: UInt8,
    height: int,
    width: int,
    begins: UInt8,
    begin_words: npt.NDArray[np.uint64],
    words: Int32,
    starts: Int32,
) -> int:
    """Where the rows' runs of equal pixels start, in `starts`; how many there are. The others are room.

    `begin_words` is the memory of `begins`, eight pixels a word. No step depends on what was found, so that a ragged
    outline costs no more than a straight one: the place for the next start is written to each time, and kept where it
    is one. Indices are unsigned, which spares numba asking whether they count from the end.
    """
    for i in range(1, height * width):
        begins[i] = pixels[i] != pixels[i - 1]
    for i in range(height * width, 8 * len(begin_words)):
        begins[i] = 0
    for y in range(height):
        begins[y * width] = 1
    none, one = np.uintp(0), np.uintp(1)
    ragged, count = none, none
    for i in range(np.uintp(len(begin_words))):
        words[ragged] = np.int32(i)
        ragged += one if begin_words[i] != 0 else none
    for i in range(ragged):
        first = np.uintp(words[i]) * np.uintp(8)
        for j in range(first, first + np.uintp(8)):
            starts[count] = np.int32(j)
            count += np.uintp(begins[j])
    return int(np.int64(count))


@compiled(
    _FOUND(
        read_only("uint8", 1), types.int64, types.int64, read_only("uint8", 1),
        read_only("float32", 2), read_only("float32", 1), read_only("int32", 1),
        types.float32, types.float32, types.float32, types.float32,
        types.float32, types.float64, types.float64, types.int64, types.int64,
        types.uint8[::1], types.uint64[::1], types.int32[::1], types.int32[::1],
    )
)  # fmt: skip
def merge(
    pixels: UInt8,  # [h * w] channel of each
    height: int,
    width: int,
    label_of: UInt8,  # [256] label of each channel
    boxes: Float32,  # [N, 4] xyxy, source pixels
    scores: Float32,  # [N]
    labels: Int32,  # [N]
    scale_x: float,
    scale_y: float,
    offset_x: float,
    offset_y: float,
    score_threshold: float,
    max_overlap: float,
    min_stuff_area: float,
    things: int,
    names: int,
    begins: UInt8,  # [h * w, up to a whole word] room; see `boundaries`
    begin_words: npt.NDArray[np.uint64],  # the same memory
    starts: Int32,  # [h * w + 1] room: first pixel of each run, which ends with its row at the latest
    claimed: Int32,  # [h * w + 1] room: the first claim on each run, 0 for none
) -> tuple[UInt32, UInt16, Int32, Float32]:
    """Run lengths and their ids; of each segment label, area, detection [3, S]; scores [S], then boxes [S, 4]."""
    runs = boundaries(pixels, height, width, begins, begin_words, claimed, starts)

    starts[runs] = height * width
    none, one = np.uintp(0), np.uintp(1)
    left, top, right, bottom = np.uintp(0), np.uintp(1), np.uintp(2), np.uintp(3)

    # The boxes to paint, best first; of equal ones the first. `by_label` has them label by label, in this order.
    order, many = np.empty(len(scores), np.int64), 0
    for n in range(len(scores)):
        if scores[n] >= score_threshold:
            k = many
            while k > 0 and scores[order[k - 1]] < scores[n]:
                order[k] = order[k - 1]
                k -= 1
            order[k] = n
            many += 1
    sides = np.empty((many, 4), np.int64)  # left, top, right, bottom
    first_of, by_label = np.zeros(257, np.int64), np.empty(many, np.int64)
    for k in range(many):
        box, label = boxes[order[k]], labels[order[k]]
        sides[k, 0], sides[k, 2] = _covered((box[0] - offset_x) / scale_x, (box[2] - offset_x) / scale_x, width)
        sides[k, 1], sides[k, 3] = _covered((box[1] - offset_y) / scale_y, (box[3] - offset_y) / scale_y, height)
        if 0 <= label < 255:
            first_of[label + 1] += 1
    for label in range(256):
        first_of[label + 1] += first_of[label]
    placed = first_of.copy()
    for k in range(many):
        label = labels[order[k]]
        if 0 <= label < 255:
            by_label[placed[label]] = k
            placed[label] += 1

    # Which label each run has, how much there is of each, and which runs have the label of a box.
    names_at, own = np.empty(runs, np.uint8), np.empty(runs + 1, np.int32)
    areas, boxed = np.zeros(256, np.int64), np.uintp(0)
    for r in range(np.uintp(runs)):
        label = label_of[pixels[starts[r]]]
        names_at[r] = label
        areas[label] += starts[r + np.uintp(1)] - starts[r]
        claimed[r] = 0
        own[boxed] = np.int32(r)
        boxed += np.uintp(first_of[label + np.uintp(1)] > first_of[label])

    # Which part of which run lies in which box of its label: pairs. Parts are in columns of their row.
    full, counts = np.zeros(many, np.int64), np.zeros(many + 1, np.int64)
    room = 4 * int(np.int64(boxed)) + 64
    pairs, pair_box, pair_run = none, np.empty(room, np.int32), np.empty(room, np.int32)
    pair_low, pair_high = np.empty(room, np.int32), np.empty(room, np.int32)
    reciprocal = 1.0 / width
    for i in range(boxed):
        run = np.uintp(own[i])
        begin, end, label = int(starts[run]), int(starts[run + one]), np.uintp(names_at[run])
        y = int((begin + 0.5) * reciprocal)
        begin -= y * width
        end -= y * width
        if int(np.int64(pairs)) + many > room:
            room = 2 * room + many
            pair_box, pair_run = _longer(pair_box, pairs, room), _longer(pair_run, pairs, room)
            pair_low, pair_high = _longer(pair_low, pairs, room), _longer(pair_high, pairs, room)
        for j in range(np.uintp(first_of[label]), np.uintp(first_of[label + one])):
            which = np.uintp(by_label[j])
            low, high = max(begin, sides[which, left]), min(end, sides[which, right])
            inside = (low < high) & (sides[which, top] <= y) & (y < sides[which, bottom])
            pair_box[pairs], pair_run[pairs] = np.int32(which), np.int32(run)
            pair_low[pairs], pair_high[pairs] = low, high
            full[which] += (high - low) * inside
            counts[which + one] += inside
            pairs += np.uintp(inside)
    for k in range(many):
        counts[k + 1] += counts[k]
    run_of, low_of = np.empty(pairs, np.uintp), np.empty(pairs, np.int64)  # the pairs box by box
    high_of, placed = np.empty(pairs, np.int64), counts.copy()
    for p in range(pairs):
        which = np.uintp(pair_box[p])
        at = np.uintp(placed[which])
        run_of[at], low_of[at], high_of[at] = np.uintp(pair_run[p]), pair_low[p], pair_high[p]
        placed[which] += 1

    # Things: a box takes what is free of its pairs, unless too much of them is taken. Claims on a run are in order.
    most = many + names - things
    out_labels, out_scores = np.empty(most, np.int32), np.ones(most, np.float32)
    out_index = np.full(most, -1, np.int32)
    room = int(np.int64(pairs)) + 64
    claim_low, claim_high = np.empty(room, np.int64), np.empty(room, np.int64)
    claim_owner, claim_next = np.empty(room, np.int64), np.empty(room, np.uintp)
    claims = one  # number 0 is none
    new = 0
    for k in range(many):
        taken = 0
        for p in range(np.uintp(counts[k]), np.uintp(counts[k + 1])):
            low, high, c = low_of[p], high_of[p], np.uintp(claimed[run_of[p]])
            while c:
                taken += max(0, min(high, claim_high[c]) - max(low, claim_low[c]))
                c = claim_next[c]
        if full[k] == 0 or taken == full[k] or taken > max_overlap * full[k]:
            continue
        out_labels[new], out_scores[new], out_index[new] = labels[order[k]], scores[order[k]], order[k]
        new += 1
        areas[labels[order[k]]] -= full[k] - taken
        for p in range(np.uintp(counts[k]), np.uintp(counts[k + 1])):
            run, low, high = run_of[p], low_of[p], high_of[p]
            before, c = none, np.uintp(claimed[run])
            while low < high:
                free = high if c == 0 else min(high, claim_low[c])
                if free > low:
                    if claims == room:
                        room *= 2
                        claim_low, claim_high = _longer(claim_low, claims, room), _longer(claim_high, claims, room)
                        claim_owner, claim_next = _longer(claim_owner, claims, room), _longer(claim_next, claims, room)
                    claim_low[claims], claim_high[claims], claim_owner[claims] = low, free, new
                    claim_next[claims] = c
                    if before:
                        claim_next[before] = claims
                    else:
                        claimed[run] = np.int32(claims)
                    before = claims
                    claims += one
                if c:
                    low = max(low, claim_high[c])
                    before, c = c, claim_next[c]
                else:
                    low = high

    # Stuff of enough area takes what is left.
    given = np.zeros(256, np.int64)
    smallest = math.ceil(min_stuff_area * (height * width))
    for label in range(things, names):
        if areas[label] > 0 and areas[label] >= smallest:
            out_labels[new] = label
            new += 1
            given[label] = new

    # The map's runs, and what each segment measures.
    lefts, rights = np.full(new + 1, width, np.int32), np.zeros(new + 1, np.int32)
    tops, bottoms = np.full(new + 1, height, np.int32), np.zeros(new + 1, np.int32)
    totals = np.zeros(new + 1, np.int64)
    room = runs + 2 * int(np.int64(claims))
    lengths, values = np.empty(room, np.uint32), np.empty(room, np.uint16)
    count, last, length = none, -1, 0  # of a run that goes on
    y, row = -1, -width
    for r in range(np.uintp(runs)):
        begin, end = int(starts[r]), int(starts[r + one])
        if begin == row + width:
            y, row = y + 1, begin
        rest = given[names_at[r]]
        c = np.uintp(claimed[r])
        while begin < end:
            s, until = rest, end
            if c:
                low = row + claim_low[c]
                if low > begin:
                    until = low
                else:
                    s, until = claim_owner[c], row + claim_high[c]
                    c = claim_next[c]
            if s != last:
                lengths[count], values[count] = np.uint32(length), np.uint16(last)
                count += np.uintp(last >= 0)
                last, length = s, 0
            length += until - begin
            of = np.uintp(s)
            lefts[of], rights[of] = min(lefts[of], begin - row), max(rights[of], until - row)
            tops[of], bottoms[of] = min(tops[of], y), y + 1
            totals[of] += until - begin
            begin = until
    lengths[count], values[count] = np.uint32(length), np.uint16(last)
    count += one
    numbers, measures = np.empty((3, new), np.int32), np.empty(5 * new, np.float32)
    for n in range(new):
        numbers[0, n], numbers[1, n], numbers[2, n] = out_labels[n], totals[n + 1], out_index[n]
        measures[n], box = out_scores[n], new + 4 * n
        measures[box] = np.float32(lefts[n + 1]) * scale_x + offset_x
        measures[box + 1] = np.float32(tops[n + 1]) * scale_y + offset_y
        measures[box + 2] = np.float32(rights[n + 1]) * scale_x + offset_x
        measures[box + 3] = np.float32(bottoms[n + 1]) * scale_y + offset_y
    return lengths[:count], values[:count], numbers, measures


class _Room(threading.local):
    """Memory the loop works in, kept from map to map of one size."""

    def __init__(self) -> None:
        self._pixels = 0

    def of(self, pixels: int) -> tuple[UInt8, npt.NDArray[np.uint64], Int32, Int32]:
        """Room for so many pixels."""
        if pixels != self._pixels:
            self._pixels = pixels
            words = np.empty(-(-pixels // 8), np.uint64)
            starts, claimed = np.empty(8 * len(words) + 1, np.int32), np.empty(pixels + 1, np.int32)
            self._arrays = (words.view(np.uint8), words, starts, claimed)
        return self._arrays


_room = _Room()


@lru_cache(maxsize=256)
def _ids(count: int) -> Int32:
    """1, 2, 3, ..., for all maps of so many segments."""
    ids = np.arange(1, count + 1, dtype=np.int32)
    ids.flags.writeable = False
    return ids


@lru_cache(maxsize=256)
def _no_tracks(count: int) -> npt.NDArray[np.int64]:
    """For all maps of so many segments."""
    tracks = np.full(count, NO_TRACK, dtype=np.int64)
    tracks.flags.writeable = False
    return tracks


def merge_label_map(
    detections: Detections,
    found: LabelMap,
    label_of: UInt8,  # [256] label of each channel, 255 for none
    *,
    classes: Classes,
    score_threshold: float = 0.4,
    max_overlap: float = 0.5,
    min_stuff_area: float = 0.002,
) -> PanopticRuns:
    """Rule b: what `merge.merge_boxes` makes of the labels of the channels."""
    height, width = found.channels.shape
    flat = np.ascontiguousarray(found.channels, dtype=np.uint8).reshape(-1)
    t: Transform = found.transform
    lengths, values, numbers, measures = merge(
        flat,
        height,
        width,
        label_of,
        np.ascontiguousarray(detections.boxes, dtype=np.float32),
        detections.scores,
        detections.labels,
        t.scale_x,
        t.scale_y,
        t.offset_x,
        t.offset_y,
        score_threshold,
        max_overlap,
        min_stuff_area,
        len(classes.things),
        len(classes.names),
        *_room.of(height * width),
    )
    labels, areas, index = numbers
    count = len(labels)
    segments = Segments(
        ids=_ids(count),
        labels=labels,
        is_thing=index >= 0,
        scores=measures[:count],
        areas=areas,
        boxes=measures[count:].reshape(count, 4),
        detection_index=index,
        track_ids=_no_tracks(count),
    )
    return PanopticRuns(lengths, values, width=width, height=height, segments=segments, transform=t)
