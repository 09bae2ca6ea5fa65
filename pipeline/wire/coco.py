"""Masks as COCO's compressed run lengths, a text a segment: what `pycocotools.mask` reads and writes.

Pixels go column by column. Each length but the first three is told as its difference to the one two before, in digits
of five bits, lowest first; a sixth bit says that more follow, and 48 makes it a character.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.errors import WireError
from pipeline.messages import runs_of
from pipeline.messages.arrays import Int32, Int64
from pipeline.wire.idmap import UInt16
from pipeline.wire.limits import DEFAULT_LIMITS, Limits, check_area, check_count
from pipeline.wire.runs import alternating, check_alternating, on_runs, paint, regions_of

DIGIT_BITS, MORE, FIRST_CHARACTER = 5, 32, 48
MOST_DIGITS = 7  # of a difference between two lengths below 2**31


def encode_coco(ids: UInt16, segment_ids: Int32) -> list[str]:
    """The masks of the segments of a map [h, w], in the table's order."""
    lengths, values = runs_of(np.ascontiguousarray(ids.T))
    wide = lengths.astype(np.int64)
    regions = regions_of(np.cumsum(wide) - wide, wide, values, segment_ids)
    counts, rows = alternating(regions, np.full(len(segment_ids), ids.size, dtype=np.int64))
    firsts = np.concatenate([[0], np.cumsum(rows)])
    place = np.arange(len(counts)) - np.repeat(firsts[:-1], rows)
    differences = counts.copy()
    later = np.flatnonzero(place >= 3)
    differences[later] -= counts[later - 2]
    characters, widths = _digits(differences)
    ends = np.concatenate([[0], np.cumsum(widths)])[firsts]
    text = characters.tobytes().decode("ascii")
    return [text[start:end] for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]


def decode_coco(
    texts: Sequence[str], segment_ids: Int32, *, width: int, height: int, limits: Limits = DEFAULT_LIMITS
) -> UInt16:
    """The map [height, width] of the masks of its segments. Raises `WireError`; masks that overlap are refused."""
    check_area("masks", width, height, limits.picture_pixels)
    if len(texts) != len(segment_ids):
        raise WireError(f"coco: {len(texts)} masks for {len(segment_ids)} segments")
    check_count("coco: characters", sum(map(len, texts)), MOST_DIGITS * limits.runs)
    starts, lengths = [], []
    left = limits.runs
    for text in texts:
        counts = counts_of(text, most=left)
        left -= len(counts)
        check_alternating("coco", counts, width * height)
        start, length = on_runs(counts)
        starts.append(start)
        lengths.append(length)
    ids = np.repeat(segment_ids, [len(start) for start in starts])
    if not starts:
        return np.zeros((height, width), dtype=np.uint16)
    pixels = paint(np.concatenate(starts), np.concatenate(lengths), ids.astype(np.int64), width * height)
    return np.ascontiguousarray(pixels.reshape(width, height).T)


def counts_of(text: str, *, most: int = DEFAULT_LIMITS.runs) -> Int64:
    """The lengths [n] that a text tells, `most` at most. Raises `WireError`, before there is an array of numbers."""
    try:
        digits = np.frombuffer(text.encode("ascii"), dtype=np.uint8) - np.uint8(FIRST_CHARACTER)
    except UnicodeEncodeError as exc:
        raise WireError("coco: characters from '0' to 'o' are needed") from exc
    is_last = digits < MORE
    if not digits.size or digits.max() >= 2 * MORE or not is_last[-1]:  # what lies below '0' has wrapped around
        raise WireError("coco: not a whole text of characters from '0' to 'o'")
    check_count("coco: lengths", int(np.count_nonzero(is_last)), most)
    ends = np.flatnonzero(is_last)
    firsts = np.concatenate([[0], ends[:-1] + 1])
    widths = ends + 1 - firsts
    if widths.max() > MOST_DIGITS:
        raise WireError(f"coco: a length of {widths.max()} characters; at most {MOST_DIGITS} are accepted")
    values = np.zeros(len(ends), dtype=np.int64)
    for place in range(int(widths.max())):
        has = np.flatnonzero(widths > place)
        values[has] |= (digits[firsts[has] + place] & (MORE - 1)).astype(np.int64) << (DIGIT_BITS * place)
    values -= np.where(digits[ends] & 16, 1 << (DIGIT_BITS * widths), 0)
    counts = values.copy()
    counts[1::2] = np.cumsum(values[1::2])
    counts[2::2] = np.cumsum(values[2::2])
    return counts


def _digits(numbers: Int64) -> tuple[np.ndarray, Int64]:
    """The characters of all numbers, one after another, and how many each has."""
    table = np.zeros((len(numbers), MOST_DIGITS), dtype=np.uint8)
    widths = np.zeros(len(numbers), dtype=np.int64)
    left, going = numbers.copy(), np.ones(len(numbers), dtype=bool)
    for place in range(MOST_DIGITS):
        digit = left & (MORE - 1)
        left >>= DIGIT_BITS
        more = np.where(digit & 16, left != -1, left != 0)
        table[:, place] = (digit | np.where(more, MORE, 0)) + FIRST_CHARACTER
        widths += going
        going &= more
        if not going.any():
            break
    return table[np.arange(MOST_DIGITS) < widths[:, None]], widths
