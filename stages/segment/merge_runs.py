"""The panoptic merge of boxes and a label map (rule b of `merge`), on runs of equal labels instead of pixels.

A map of 480x270 has 130,000 pixels and some thousand runs. A box claims the parts of runs of its label that lie in it;
what nobody claims is stuff, or void. What comes out is the map's run lengths, as they go over the wire; its pixels are
never painted.
"""

from __future__ import annotations

import math
import threading

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


_COLUMNS = several(
    types.uint32[::1],
    types.uint16[::1],
    types.int32[::1],
    types.boolean[::1],
    types.float32[::1],
    types.int32[::1],
    types.float32[:, ::1],
    types.int32[::1],
)


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
    _COLUMNS(
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
) -> tuple[UInt32, UInt16, Int32, npt.NDArray[np.bool_], Float32, Int32, Float32, Int32]:
    """Run lengths, their ids, and columns of the segment table: labels, things, scores, areas, boxes, detections."""
    runs = boundaries(pixels, height, width, begins, begin_words, claimed, starts)

    starts[runs] = height * width

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
    pairs, pair = 0, np.empty((room, 4), np.int32)  # box, run, left, right
    reciprocal = 1.0 / width
    for i in range(boxed):
        r = int(own[i])
        begin, end, label = int(starts[r]), int(starts[r + 1]), names_at[r]
        y = int((begin + 0.5) * reciprocal)
        begin -= y * width
        end -= y * width
        if pairs + many > room:
            room = 2 * room + many
            wider = np.empty((room, 4), np.int32)
            wider[:pairs] = pair[:pairs]
            pair = wider
        for j in range(first_of[label], first_of[label + 1]):
            k = by_label[j]
            low, high = max(begin, sides[k, 0]), min(end, sides[k, 2])
            inside = (low < high) & (sides[k, 1] <= y) & (y < sides[k, 3])
            pair[pairs, 0], pair[pairs, 1], pair[pairs, 2], pair[pairs, 3] = k, r, low, high
            full[k] += (high - low) * inside
            counts[k + 1] += inside
            pairs += inside
    for k in range(many):
        counts[k + 1] += counts[k]
    of_box, placed = np.empty((pairs, 3), np.int32), counts.copy()  # the pairs box by box
    for p in range(pairs):
        at = placed[pair[p, 0]]
        of_box[at, 0], of_box[at, 1], of_box[at, 2] = pair[p, 1], pair[p, 2], pair[p, 3]
        placed[pair[p, 0]] += 1

    # Things: a box takes what is free of its pairs, unless too much of them is taken. Claims on a run are in order.
    most = many + names - things
    out_labels, out_things = np.empty(most, np.int32), np.zeros(most, np.bool_)
    out_scores, out_index = np.ones(most, np.float32), np.full(most, -1, np.int32)
    room = pairs + 64
    claim_low, claim_high = np.empty(room, np.int64), np.empty(room, np.int64)
    claim_owner, claim_next = np.empty(room, np.int64), np.zeros(room, np.int64)
    claims = 1  # number 0 is none
    new = 0
    for k in range(many):
        taken = 0
        for p in range(counts[k], counts[k + 1]):
            low, high, c = of_box[p, 1], of_box[p, 2], claimed[of_box[p, 0]]
            while c:
                taken += max(0, min(high, claim_high[c]) - max(low, claim_low[c]))
                c = claim_next[c]
        if full[k] == 0 or taken == full[k] or taken > max_overlap * full[k]:
            continue
        out_labels[new], out_things[new] = labels[order[k]], True
        out_scores[new], out_index[new] = scores[order[k]], order[k]
        new += 1
        areas[labels[order[k]]] -= full[k] - taken
        for p in range(counts[k], counts[k + 1]):
            r, low, high = int(of_box[p, 0]), int(of_box[p, 1]), int(of_box[p, 2])
            before, c = 0, int(claimed[r])
            while low < high:
                free = high if c == 0 else min(high, claim_low[c])
                if free > low:
                    if claims == room:
                        room *= 2
                        lows, highs = np.empty(room, np.int64), np.empty(room, np.int64)
                        owners, nexts = np.empty(room, np.int64), np.zeros(room, np.int64)
                        lows[:claims], highs[:claims] = claim_low, claim_high
                        owners[:claims], nexts[:claims] = claim_owner, claim_next
                        claim_low, claim_high, claim_owner, claim_next = lows, highs, owners, nexts
                    claim_low[claims], claim_high[claims], claim_owner[claims] = low, free, new
                    claim_next[claims] = c
                    if before:
                        claim_next[before] = claims
                    else:
                        claimed[r] = claims
                    before = claims
                    claims += 1
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
    table = np.zeros((new + 1, 5), np.int64)
    for s in range(new + 1):
        table[s, 0], table[s, 1] = width, height
    lengths, values = np.empty(runs + 2 * claims, np.uint32), np.empty(runs + 2 * claims, np.uint16)
    count, last = -1, -1
    y, row = -1, -width
    for r in range(runs):
        begin, end = int(starts[r]), int(starts[r + 1])
        if begin == row + width:
            y, row = y + 1, begin
        rest = given[names_at[r]]
        c = int(claimed[r])
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
                count += 1
                lengths[count], values[count] = 0, s
                last = s
            lengths[count] += np.uint32(until - begin)
            of = table[s]
            of[0], of[2] = min(of[0], begin - row), max(of[2], until - row)
            of[1], of[3] = min(of[1], y), y + 1
            of[4] += until - begin
            begin = until
    out_areas, out_boxes = np.empty(new, np.int32), np.empty((new, 4), np.float32)
    for s in range(new):
        out_areas[s] = table[s + 1, 4]
        for side in range(2):
            out_boxes[s, 2 * side] = np.float32(table[s + 1, 2 * side]) * scale_x + offset_x
            out_boxes[s, 2 * side + 1] = np.float32(table[s + 1, 2 * side + 1]) * scale_y + offset_y
    return (
        lengths[: count + 1], values[: count + 1], out_labels[:new], out_things[:new], out_scores[:new],
        out_areas, out_boxes, out_index[:new],
    )  # fmt: skip


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
    lengths, values, labels, things, scores, areas, boxes, index = merge(
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
    segments = Segments(
        ids=np.arange(1, len(labels) + 1, dtype=np.int32),
        labels=labels,
        is_thing=things,
        scores=scores,
        areas=areas,
        boxes=boxes,
        detection_index=index,
        track_ids=np.full(len(labels), NO_TRACK, dtype=np.int64),
    )
    return PanopticRuns(lengths, values, width=width, height=height, segments=segments, transform=t)
