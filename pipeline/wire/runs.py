"""The regions of an id map as runs of their own, for the forms of masks that tell one segment after another.

A region is described by lengths that alternate off, on, off, ...: the first is off and may be 0, no other is, and a
last one that is off is there only if it is not 0. Both COCO's run lengths and the crops are such lengths; they differ
in the order of the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.errors import WireError
from pipeline.messages.arrays import Int32, Int64
from pipeline.wire.idmap import UInt16


@dataclass(frozen=True, slots=True)
class Regions:
    """Runs of pixels, those of one segment together and in order; segment s has rows `bounds[s]` to `bounds[s + 1]`."""

    starts: Int64  # [n] pixels from the first
    lengths: Int64  # [n] at least 1
    bounds: Int64  # [S + 1]


def regions_of(starts: Int64, lengths: Int64, values: UInt16, segment_ids: Int32) -> Regions:
    """The runs of a map, in order, sorted by the segments of a table; those of no segment of it are left out."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.searchsorted(ordered, segment_ids, side="left")
    last = np.searchsorted(ordered, segment_ids, side="right")
    counts = last - first
    bounds = np.concatenate([[0], np.cumsum(counts)])
    rows = order[np.repeat(first - bounds[:-1], counts) + np.arange(bounds[-1])]
    return Regions(starts[rows], lengths[rows], bounds)


def alternating(regions: Regions, totals: Int64) -> tuple[Int64, Int64]:
    """The alternating lengths of every region of so many pixels [S], one after another, and how many each has [S]."""
    starts, lengths, bounds = regions.starts, regions.lengths, regions.bounds
    runs = np.diff(bounds)
    ends = starts + lengths
    before = np.zeros_like(starts)
    before[1:] = ends[:-1]
    firsts = bounds[:-1][runs > 0]
    before[firsts] = 0
    tails = totals.copy()
    tails[runs > 0] -= ends[bounds[1:][runs > 0] - 1]
    segments = np.arange(len(runs))
    at = 2 * np.arange(len(starts)) + np.repeat(segments, runs)
    tail_at = 2 * bounds[1:] + segments
    counts = np.empty(2 * len(starts) + len(runs), dtype=np.int64)
    counts[at], counts[at + 1], counts[tail_at] = starts - before, lengths, tails
    kept = np.ones(len(counts), dtype=bool)
    kept[tail_at] = (tails > 0) | ((runs == 0) & (totals > 0))
    return counts[kept], 2 * runs + kept[tail_at]


def on_runs(counts: Int64) -> tuple[Int64, Int64]:
    """Starts and lengths of the runs that are on, of one region's alternating lengths."""
    ends = np.cumsum(counts)
    return ends[:-1:2], counts[1::2]


def check_alternating(what: str, counts: Int64, total: int) -> None:
    """Raises `WireError` unless these are the alternating lengths of a region of so many pixels."""
    if (counts[:1] < 0).any() or (counts[1:] < 1).any() or int(counts.sum()) != total:
        raise WireError(
            f"{what}: lengths cover {int(counts.sum())} pixels, none empty but the first; {total} are needed"
        )


def paint(starts: Int64, lengths: Int64, ids: Int64, total: int) -> UInt16:
    """A map's pixels [total] of runs in any order; 0 where there is none. Raises `WireError` where two overlap."""
    order = np.argsort(starts, kind="stable")
    starts, lengths, ids = starts[order], lengths[order], ids[order]
    ends = np.concatenate([[0], starts + lengths])
    holes = np.append(starts, total) - ends
    if (holes < 0).any():
        raise WireError("masks: segments overlap, or reach beyond the map; each pixel belongs to one at most")
    values = np.zeros(2 * len(starts) + 1, dtype=np.uint16)
    values[1::2] = ids
    counts = np.empty(len(values), dtype=np.int64)
    counts[::2], counts[1::2] = holes, lengths
    return np.repeat(values, counts)
