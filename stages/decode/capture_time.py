"""When a frame was captured, from what its source tells: pure arithmetic on time stamps, no clock is read here.

Two clocks share one contract: `stamp` gives a time that is strictly later than the one before, says where it comes
from, and flags a break in the time line. Both count in whole nanoseconds; a rate of 29.97 stays 30000/1001.
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


class Ticks:
    """Multiples of an exact step in whole nanoseconds, rounded down; a `Fraction` is too slow for every frame."""

    __slots__ = ("_denominator", "_numerator")

    def __init__(self, step_seconds: Fraction) -> None:
        self._numerator = step_seconds.numerator * NS
        self._denominator = step_seconds.denominator

    def to_ns(self, count: int) -> int:
        """So many steps."""
        return count * self._numerator // self._denominator


def recording_start_ns(metadata: Mapping[str, str]) -> int:
    """When a recording began: `creation_time` of its container, else 1970.

    Never the time of the file, which a copy changes: the same bytes give the same results.
    """
    try:
        start = datetime.fromisoformat(metadata.get("creation_time", ""))
    except ValueError:
        return 0
    start = start if start.tzinfo else start.replace(tzinfo=UTC)
    if start.year < _EARLIEST_YEAR:
        return 0
    since = start - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * NS + since.microseconds * 1000


class RecordingClock:
    """Capture times of a file: its start plus the time stamps, counted from the first one.

    A frame without a time stamp comes one frame interval after the one before. A time stamp that goes back (recordings
    joined end to end, a counter that wrapped) is a discontinuity, and time goes on one interval later.
    """

    def __init__(self, *, start_ns: int, time_base: Fraction, rate: Fraction | None) -> None:
        self._start_ns = start_ns
        self._time_base = Ticks(time_base)
        self._interval = Ticks(1 / (rate or DEFAULT_RATE))
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
            discontinuity = self._last_pts_ns is not None and pts_ns < self._last_pts_ns
            if self._anchor is None or discontinuity:
                self._anchor = (pts_ns, self._after_last())
            self._last_pts_ns, self._counted_from = pts_ns, None
            capture_ns = self._anchor[1] + pts_ns - self._anchor[0]
        capture_ns = _later(capture_ns, self._last_ns)
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


class LiveClock:
    """Capture times of a camera: its time stamps, laid on this machine's wall clock by when its frames arrive.

    Frames arrive late by a delay that varies and is never negative, so the truest mapping is the one of the least
    delay seen: the minimum of arrival - pts over the last `window_ns`, which also follows a camera whose clock drifts.
    The mapping moves towards it by a share of each frame's step, never by more than half of it: steps between frames
    stay between 0.5 and 1.5 times the camera's own, also while a burst of old frames is caught up with.

    A time stamp that goes back, or runs ahead of the time that has passed by more than `jump_ns`, is a discontinuity;
    the time line is anchored anew at the arrival. Without time stamps capture is arrival, and the clock `host`; but
    where time stamps are sure to follow (`timed`), a first frame that lacks its own is anchored at its arrival too, as
    it would have been with it: FFmpeg's parser loses the first one of every stream over RTP (measured).
    """

    def __init__(
        self,
        *,
        time_base: Fraction,
        timed: bool = False,
        window_ns: int = 10 * NS,
        settle_ns: int = 1 * NS,
        jump_ns: int = 2 * NS,
    ) -> None:
        self._timed = timed
        self._time_base = Ticks(time_base)
        self._window_ns = window_ns
        self._settle_ns = settle_ns
        self._jump_ns = jump_ns
        self._least = _WindowMinimum(window_ns)
        self._offset_ns: int | None = None  # capture - pts
        self._last_pts_ns: int | None = None
        self._last: Stamp | None = None

    def stamp(self, pts: int | None, *, arrival_ns: int) -> Stamp:
        """The next frame's, which arrived at `arrival_ns` on a wall clock that never steps."""
        if pts is None:
            first = self._last_pts_ns is None and self._timed
            return self._stamped(arrival_ns, "pts" if first else "host", discontinuity=False)
        pts_ns = self._time_base.to_ns(pts)
        delay_ns = arrival_ns - pts_ns
        jumped = self._jumped(pts_ns, delay_ns)
        if self._offset_ns is None or self._last_pts_ns is None or jumped:
            self._least = _WindowMinimum(self._window_ns)
            self._least.add(arrival_ns, delay_ns)
            self._offset_ns = delay_ns
        else:
            step_ns = pts_ns - self._last_pts_ns
            error_ns = self._least.add(arrival_ns, delay_ns) - self._offset_ns
            wanted_ns = error_ns * min(step_ns, self._settle_ns) // self._settle_ns
            self._offset_ns += max(-step_ns // 2, min(step_ns // 2, wanted_ns))
        self._last_pts_ns = pts_ns
        return self._stamped(pts_ns + self._offset_ns, "pts", discontinuity=jumped)

    def _jumped(self, pts_ns: int, delay_ns: int) -> bool:
        if self._last_pts_ns is None or self._least.value is None:
            return False
        return pts_ns < self._last_pts_ns or delay_ns < self._least.value - self._jump_ns

    def _stamped(self, capture_ns: int, clock: Clock, *, discontinuity: bool) -> Stamp:
        last = self._last
        if last is not None:
            capture_ns = _later(capture_ns, last.capture_time_ns)
            discontinuity = discontinuity or clock != last.clock
        self._last = Stamp(capture_ns, clock, discontinuity)
        return self._last


class _WindowMinimum:
    """The least value of the last one to two windows, in constant space."""

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._began_ns: int | None = None
        self._before: int | None = None
        self._now: int | None = None

    @property
    def value(self) -> int | None:
        """The minimum; None before the first value."""
        values = [value for value in (self._before, self._now) if value is not None]
        return min(values, default=None)

    def add(self, now_ns: int, value: int) -> int:
        """The minimum, with this value in it."""
        if self._began_ns is None or now_ns - self._began_ns >= self._window_ns:
            self._began_ns, self._before, self._now = now_ns, self._now, None
        self._now = value if self._now is None else min(self._now, value)
        return self._now if self._before is None else min(self._now, self._before)


def _later(time_ns: int, last_ns: int | None) -> int:
    return time_ns if last_ns is None else max(time_ns, last_ns + 1)
