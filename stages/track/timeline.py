"""Seconds that always move forward, from capture times that may not."""

from __future__ import annotations

FIRST_STEP_SECONDS = 1 / 25


class Timeline:
    """The time of one source's frames for its tracker.

    Where the clock changed or did not move forward (a camera set its clock, a recording was cut), the frame before says
    how long a step takes: tracks must neither fly off by an hour nor stand still.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._step_seconds = FIRST_STEP_SECONDS
        self._capture_time_ns: int | None = None

    def advance(self, capture_time_ns: int, *, discontinuity: bool = False) -> float:
        """Seconds of the next frame, 0 for the first; each more than the one before."""
        if self._capture_time_ns is not None:
            step = (capture_time_ns - self._capture_time_ns) / 1e9
            if step > 0 and not discontinuity:
                self._step_seconds = step
            self._seconds += self._step_seconds
        self._capture_time_ns = capture_time_ns
        return self._seconds
