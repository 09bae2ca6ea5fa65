"""Time as an argument: the machine's clocks, one that a test turns by hand, and the pace of a recording."""

from __future__ import annotations

import time
from typing import Protocol

from pipeline.messages import Frame


class Clock(Protocol):
    """What deadlines, back-off and pacing read; never wall-clock time, which may step."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that only grow."""

    def sleep(self, seconds: float) -> None:
        """Let that much time pass."""


class SystemClock:
    """The machine's monotonic clock."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that only grow."""
        return time.monotonic_ns()

    def sleep(self, seconds: float) -> None:
        """Block the calling thread."""
        time.sleep(seconds)


class ManualClock:
    """A clock that moves when told to; a sleep moves it."""

    def __init__(self, *, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def monotonic_ns(self) -> int:
        """Nanoseconds that only grow."""
        return self._now_ns

    def sleep(self, seconds: float) -> None:
        """Advance."""
        self._now_ns += round(seconds * 1e9)


class Pacer:
    """When each frame of a recording is due, as if a camera sent it.

    The first frame is due at once, and sets where the recording's time line lies on the clock's. It is set again where
    the time line jumps (a discontinuity, a new epoch) and where reading has fallen further behind than `most_behind`:
    a machine too slow for a recording plays it slowly, instead of chasing it for ever.
    """

    def __init__(self, clock: Clock | None = None, *, most_behind_seconds: float = 1.0) -> None:
        self._clock = SystemClock() if clock is None else clock
        self._most_behind_ns = round(most_behind_seconds * 1e9)
        self._epoch = 0
        self._start_ns: int | None = None

    def delay_seconds(self, frame: Frame) -> float:
        """How long until a frame is due; 0 where it is, or where it has no time."""
        if frame.pts is None:
            return 0.0
        now_ns = self._clock.monotonic_ns()
        at_ns = round(frame.pts * frame.time_base * 1_000_000_000)
        jumped = frame.discontinuity or frame.epoch != self._epoch
        if self._start_ns is None or jumped or now_ns - (self._start_ns + at_ns) > self._most_behind_ns:
            self._epoch, self._start_ns = frame.epoch, now_ns - at_ns
        return max(0.0, (self._start_ns + at_ns - now_ns) / 1e9)

    def wait(self, frame: Frame) -> None:
        """Let time pass until a frame is due."""
        delay = self.delay_seconds(frame)
        if delay > 0:
            self._clock.sleep(delay)
