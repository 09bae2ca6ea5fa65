"""From decoded pictures to frames: their epoch, their number, and when they were captured."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from pipeline.messages import Frame, Surface
from stages.decode.capture_time import RecordingClock, Stamp
from stages.decode.live_clock import LiveClock
from stages.decode.sender_reports import SenderReport


class FrameMaker:
    """Numbers the pictures of one opened source, in presentation order.

    Capture times follow the monotonic clock, laid on the wall clock once, so that a step of the wall clock neither
    stalls nor repeats them.
    """

    def __init__(
        self,
        source_id: str,
        *,
        live: bool,
        timed: bool,
        reported: bool,
        time_base: Fraction,
        rate: Fraction | None,
        start_ns: int,
        next_epoch: Callable[[], int],
        wall_offset_ns: int,
    ) -> None:
        """Begins an epoch. See `pipeline.messages.StreamHeader`; `wall_offset_ns`: of the wall clock, ahead of ours."""
        self._source_id = source_id
        self._timed = timed
        self._time_base = time_base
        self._next_epoch = next_epoch
        self._wall_offset_ns = wall_offset_ns
        self._clock: LiveClock | RecordingClock
        if live:
            self._clock = LiveClock(time_base=time_base, timed=reported)
        else:
            self._clock = RecordingClock(start_ns=start_ns, time_base=time_base, rate=rate)
        self._picture_size: tuple[int, int] | None = None  # as coded, before any rotation
        self._epoch, self._seq = next_epoch(), 0

    def hear(self, report: tuple[int, int, int | None], *, now_ns: int) -> None:
        """Take in a camera's report of its own clock (`SenderReport`), which came at `now_ns`, monotonic."""
        if isinstance(self._clock, LiveClock):
            self._clock.hear(SenderReport(*report), arrival_ns=now_ns + self._wall_offset_ns)

    def frame(self, surface: Surface, *, pts: int | None, size: tuple[int, int], now_ns: int) -> Frame:
        """The next picture, of `size` as coded, which came at `now_ns`. Another size begins a new epoch."""
        if size != self._picture_size:
            if self._picture_size is not None:
                self._start_epoch()
            self._picture_size = size
        pts = pts if self._timed else None
        stamp = self._stamp(pts, now_ns)
        if stamp.renews:
            self._start_epoch()
        frame = Frame(
            source_id=self._source_id,
            epoch=self._epoch,
            seq=self._seq,
            pts=pts,
            time_base=self._time_base,
            capture_time_ns=stamp.capture_time_ns,
            clock=stamp.clock,
            arrival_monotonic_ns=now_ns,
            surface=surface,
            discontinuity=stamp.discontinuity,
        )
        self._seq += 1
        return frame

    def _start_epoch(self) -> None:
        self._epoch = self._next_epoch()
        self._seq = 0

    def _stamp(self, pts: int | None, now_ns: int) -> Stamp:
        if isinstance(self._clock, LiveClock):
            return self._clock.stamp(pts, arrival_ns=now_ns + self._wall_offset_ns)
        return self._clock.stamp(pts)
