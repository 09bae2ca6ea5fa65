"""A scripted camera's own clock, and the sender reports in which it tells what that clock says."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class CameraClock:
    """The clock of a camera: pictures are taken, stamped and reported by it."""

    offset_seconds: float = 0.0  # ahead of true time when a client begins to play
    drift_ppm: float = 0.0  # faster than true time
    first_timestamp: int = 0x00100000  # RTP time of a client's first picture; RFC 3550 wants it random
    report_seconds: float = 1.0
    first_report_seconds: float = 0.0  # 0: before the first picture
    wall_ns: Callable[[], int] = time.time_ns  # true time
    monotonic: Callable[[], float] = time.monotonic

    def begin(self) -> Session:
        """A client begins to play."""
        return Session(self, self.monotonic(), self.wall_ns() + round(self.offset_seconds * NS))


@dataclass(frozen=True, slots=True)
class Session:
    """What the clock has counted since a client began to play."""

    clock: CameraClock
    started: float
    began_ns: int  # by the camera's clock, since 1970

    def elapsed(self) -> float:
        """Seconds, by the camera's clock."""
        return (self.clock.monotonic() - self.started) * self._rate

    def wait_for(self, due: float) -> float:
        """True seconds until the camera's clock has counted so many; 0 if it has."""
        return max(0.0, (due - self.elapsed()) / self._rate)

    @property
    def _rate(self) -> float:
        return 1 + self.clock.drift_ppm / 1e6


@dataclass(frozen=True, slots=True)
class Report:
    """A sender report as it goes out."""

    number: int  # from 0, a client
    timestamp: int  # RTP time, before `first_timestamp` is added
    wall_ns: int | None  # since 1970; None: NTP time 0, the camera says that it has no clock
    ssrc: int
