"""A latency histogram of fixed size: buckets grow by an eighth of an octave, percentiles err by 5 %."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import MutableSequence, Sequence
from itertools import accumulate

from pipeline.messages import Latency

BUCKETS = 128
SMALLEST_MS = 0.1
SHARES = (0.50, 0.95, 0.99)
PER_OCTAVE = 8  # 128 buckets reach from 0.1 ms to 6.5 s; the last takes what is longer


def bucket_of(latency_ms: float) -> int:
    """The bucket a latency falls in."""
    if latency_ms <= SMALLEST_MS:
        return 0
    return min(BUCKETS - 1, 1 + int(PER_OCTAVE * math.log2(latency_ms / SMALLEST_MS)))


def middle_ms(bucket: int) -> float:
    """The latency a bucket stands for: its geometric middle."""
    return SMALLEST_MS if bucket == 0 else float(SMALLEST_MS * 2 ** ((bucket - 0.5) / PER_OCTAVE))


def upper_bound_ms(bucket: int) -> float:
    """Every latency in a bucket is below; infinite for the last, which takes what is longer than all others."""
    return float(SMALLEST_MS * 2 ** (bucket / PER_OCTAVE)) if bucket < BUCKETS - 1 else math.inf


def record(buckets: MutableSequence[int] | memoryview[int], latency_ms: float) -> None:
    """Count one latency."""
    buckets[bucket_of(latency_ms)] += 1


def percentile_ms(buckets: Sequence[int], share: float) -> float:
    """The latency that `share` (above 0, to 1) of those counted do not exceed; 0 where none was."""
    return next(iter(_percentiles(buckets, (share,))), 0.0)


def latency_of(buckets: Sequence[int]) -> Latency | None:
    """Percentiles; None where nothing was counted."""
    found = _percentiles(buckets, SHARES)
    return Latency(*(round(latency_ms, 2) for latency_ms in found)) if found else None


def _percentiles(buckets: Sequence[int], shares: Sequence[float]) -> list[float]:
    """Of each share, in one pass; none where nothing was counted."""
    seen = list(accumulate(buckets))
    if not seen or not seen[-1]:
        return []
    # The first bucket that reaches a share has something in it: what is seen rises there.
    return [middle_ms(bisect_left(seen, share * seen[-1])) for share in shares]
