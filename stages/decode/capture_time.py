"""When a frame was captured, from what its source tells: pure arithmetic on time stamps, no clock is read here.

Two clocks share one contract: `stamp` gives a time that is strictly later than the one before, says where it comes
from, and flags a break in the time line: `RecordingClock`, and `LiveClock` of `stages.decode.live_clock`. Both count in
whole nanoseconds; a rate of 29.97 stays 30000/1001. The rules in words: stages/decode/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from fractions import Fraction
from typing import NamedTuple

from pipeline.messages import Clock

NS = 1_000_000_000
DEFAULT_RATE = Fraction(25)  # FFmpeg's own for a stream that declares none

_EARLIEST_YEAR = 1980  # cameras without a clock write 1904 or 1970


class Stamp(NamedTuple):
    """The capture time of one frame."""

    capture_time_ns: int  # since 1970
    clock: Clock
    discontinuity: bool
    renews: bool = False  # earlier than the frame before, which only a new epoch may be


class Ticks:
    """Multiples of an exact step in whole nanoseconds, rounded down; a `Fraction` is too slow for every frame."""

    __slots__ = ("_denominator", "_numerator")

    def __init__(self, step_seconds: Fraction) -> None:
        self._numerator = step_seconds.numerator * NS
        self._denominator = step_seconds.denominator

    def to_ns(self, count: int) -> int:
        """So many steps."""
        return count * self._numerator // self._denominator


def recording_start_ns(metadata: Mapping[str, str], *, told: str = "") -> int:
    """When a recording began: as was `told` (ISO 8601), else `creation_time` of its container, else 1970.

    Never the time of the file, which a copy changes: the same bytes give the same results.
    """
    try:
        start = datetime.fromisoformat(told or metadata.get("creation_time", ""))
    except ValueError:
        return 0
    start = start if start.tzinfo else start.replace(tzinfo=UTC)
    if start.year < _EARLIEST_YEAR and not told:
        return 0
    since = start - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * NS + since.microseconds * 1000


class RecordingClock:
    """Capture times of a file: its start plus the time stamps, counted from the first one.

    A frame without a time stamp comes one frame interval after the one before. A time stamp that goes back (recordings
    joined end to end, a counter that wrapped) is a discontinuity, and time goes on one interval later. One that runs
    ahead by more than `pause_ns` and ten intervals is a discontinuity too, but believed: what records on motion pauses.
    """

    def __init__(self, *, start_ns: int, time_base: Fraction, rate: Fraction | None, pause_ns: int = 10 * NS) -> None:
        self._start_ns = start_ns
        self._time_base = Ticks(time_base)
        self._interval = Ticks(1 / (rate or DEFAULT_RATE))
        self._pause_ns = max(pause_ns, self._interval.to_ns(10))
        self._anchor: tuple[int, int] | None = None  # (pts_ns, capture_ns) at the start of the time line
        self._counted_from: int | None = None  # capture_ns from which frames without a time stamp are counted
        self._counted = 0
        self._last_pts_ns: int | None = None
        self._last_ns: int | None = None

    def stamp(self, pts: int | None) -> Stamp:
        """The next frame's."""
        discontinuity = False
        if pts is None:
            capture_ns = self._count()
        else:
            pts_ns = self._time_base.to_ns(pts)
            back = self._last_pts_ns is not None and pts_ns < self._last_pts_ns
            paused = self._last_pts_ns is not None and pts_ns - self._last_pts_ns > self._pause_ns
            discontinuity = back or paused
            if self._anchor is None or back:
                self._anchor = (pts_ns, self._after_last())
            self._last_pts_ns, self._counted_from = pts_ns, None
            capture_ns = self._anchor[1] + pts_ns - self._anchor[0]
        capture_ns = later(capture_ns, self._last_ns)
        self._last_ns = capture_ns
        return Stamp(capture_ns, "recording", discontinuity)

    def _count(self) -> int:
        """One interval on; counted from where the time stamps ended, so that rounding never adds up."""
        if self._counted_from is None:
            self._counted_from, self._counted = self._after_last(), 0
        capture_ns = self._counted_from + self._interval.to_ns(self._counted)
        self._counted += 1
        return capture_ns

    def _after_last(self) -> int:
        if self._last_ns is None:
            return self._start_ns
        return self._last_ns + self._interval.to_ns(1)


def later(time_ns: int, last_ns: int | None) -> int:
    """A time, or the next nanosecond after the last one where it is not later."""
    return time_ns if last_ns is None else max(time_ns, last_ns + 1)
