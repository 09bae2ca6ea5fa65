"""Capture times of a camera; no clock is read here."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from pipeline.messages import Clock
from stages.decode.capture_time import NS, Stamp, Ticks, later
from stages.decode.sender_reports import Belief, SenderReport


class LiveClock:
    """Lays a camera's time stamps on a wall clock: its own where it reports it, else this machine's.

    Capture is pts plus an offset, and the offset follows a wanted one by at most half of each frame's step: steps
    between frames stay between 0.5 and 1.5 times the camera's own. The wanted offset is

    `rtcp`: what believed sender reports say (see `Belief`);
    `pts`: the least of arrival - pts over the last `window_ns`, since frames arrive late by a delay that varies and is
    never negative; it follows a camera whose clock drifts. Approached over `settle_ns`, also after a burst of old
    frames. Where reports were believed before, the camera's distance from this machine's clock is kept.

    The clock is `rtcp` once the offset is the wanted one, and as long as it stays within a frame of it (reports of
    gst-rtsp-server differ by 30 ms among themselves, measured). Where the offset lags more than `jump_ns`, it jumps,
    which is flagged. Where it leads a report by more, time would have to go back: a new epoch starts, at most one a
    `renew_ns`; until it may, time goes on as before, by `pts`.

    A time stamp that goes back, or runs ahead of the time that has passed by more than `jump_ns`, is a discontinuity:
    what reports said is forgotten, and the time line goes on by the arrival. Without time stamps capture is arrival,
    and the clock `host`; but where time stamps are sure to follow (`timed`), a first frame that lacks its own is
    no change of clock: FFmpeg's parser loses the first one of every stream over RTP (measured).
    """

    def __init__(
        self,
        *,
        time_base: Fraction,
        timed: bool = False,
        belief: Belief | None = None,
        window_ns: int = 10 * NS,
        settle_ns: int = 1 * NS,
        jump_ns: int = 2 * NS,
        renew_ns: int = 60 * NS,
    ) -> None:
        self._timed = timed
        self._ticks = Ticks(time_base)
        self._belief = belief or Belief()
        self._window_ns = window_ns
        self._settle_ns = settle_ns
        self._jump_ns = jump_ns
        self._renew_ns = renew_ns
        self._least = _WindowMinimum(window_ns)
        self._offset_ns: int | None = None  # capture - pts
        self._ahead_ns = 0  # of arrival: how far the camera's clock was, when reports were last believed
        self._first_ns: int | None = None  # what a report gives to a first frame without a time stamp
        self._last_pts_ns: int | None = None
        self._last: Stamp | None = None
        self._renewed_ns: int | None = None

    def hear(self, report: SenderReport, *, arrival_ns: int) -> None:
        """A sender report came, with a packet that arrived at `arrival_ns`."""
        if report.pts is not None:
            pts_ns = self._ticks.to_ns(report.pts)
            self._belief.hear(report.ssrc, camera_ns=report.camera_ns, pts_ns=pts_ns, arrival_ns=arrival_ns)
        elif self._last is None and self._belief.is_near(report.camera_ns, arrival_ns):
            self._first_ns = report.camera_ns

    def stamp(self, pts: int | None, *, arrival_ns: int) -> Stamp:
        """The next frame's, which arrived at `arrival_ns` on a wall clock that never steps."""
        if pts is None:
            return self._untimed(arrival_ns)
        pts_ns = self._ticks.to_ns(pts)
        delay_ns = arrival_ns - pts_ns
        jumped = self._jumped(pts_ns, delay_ns)
        if jumped:
            self._belief.forget()
            self._least, self._offset_ns = _WindowMinimum(self._window_ns), None
        least_ns = self._least.add(arrival_ns, delay_ns)
        told_ns = self._belief.offset_ns(arrival_ns)
        step_ns = 0 if self._last_pts_ns is None or jumped else pts_ns - self._last_pts_ns
        if self._offset_ns is None:
            started = self._last is None or self._last.clock == "rtcp"
            self._offset_ns = told_ns if told_ns is not None and started else self._anchor(pts_ns, arrival_ns)
        if told_ns is None:
            moved = self._follow(self._offset_ns, least_ns + self._ahead_ns, step_ns, share=True)
        else:
            moved = self._obey(self._offset_ns, told_ns, step_ns, arrival_ns)
            self._ahead_ns = moved.offset_ns - least_ns
        self._offset_ns, self._last_pts_ns = moved.offset_ns, pts_ns
        clock: Clock = "rtcp" if self._is_told(moved.offset_ns, told_ns, step_ns) else "pts"
        return self._stamped(pts_ns + moved.offset_ns, clock, jumped or moved.jumped, renews=moved.renews)

    def _is_told(self, offset_ns: int, told_ns: int | None, step_ns: int) -> bool:
        """Whether the offset is what reports say; once it was, to within a frame."""
        if told_ns is None or self._last is None:
            return told_ns is not None
        return abs(offset_ns - told_ns) <= (step_ns if self._last.clock == "rtcp" else 0)

    def _anchor(self, pts_ns: int, arrival_ns: int) -> int:
        """The offset at which a time line by arrival goes on."""
        capture_ns = arrival_ns + self._ahead_ns
        return later(capture_ns, None if self._last is None else self._last.capture_time_ns) - pts_ns

    def _untimed(self, arrival_ns: int) -> Stamp:
        if self._timed and self._last is None and self._first_ns is not None:
            return self._stamped(self._first_ns, "rtcp", False)
        clock: Clock = "pts" if self._timed and self._last_pts_ns is None else "host"
        return self._stamped(arrival_ns + self._ahead_ns, clock, False)

    def _jumped(self, pts_ns: int, delay_ns: int) -> bool:
        if self._last_pts_ns is None or self._least.value is None:
            return False
        return pts_ns < self._last_pts_ns or delay_ns < self._least.value - self._jump_ns

    def _obey(self, offset_ns: int, told_ns: int, step_ns: int, arrival_ns: int) -> _Move:
        """The offset as the camera has it, or on its way there."""
        if offset_ns - told_ns <= self._jump_ns:
            return self._follow(offset_ns, told_ns, step_ns)
        if self._renewed_ns is not None and arrival_ns - self._renewed_ns < self._renew_ns:
            return _Move(offset_ns)
        self._renewed_ns = arrival_ns
        return _Move(told_ns, jumped=True, renews=True)

    def _follow(self, offset_ns: int, wanted_ns: int, step_ns: int, *, share: bool = False) -> _Move:
        """The offset one frame on: half a step nearer at most, and with `share` a step's share of `settle_ns`."""
        error_ns = wanted_ns - offset_ns
        if error_ns > self._jump_ns:
            return _Move(wanted_ns, jumped=True)
        if share:
            error_ns = error_ns * min(step_ns, self._settle_ns) // self._settle_ns
        return _Move(offset_ns + max(-step_ns // 2, min(step_ns // 2, error_ns)))

    def _stamped(self, capture_ns: int, clock: Clock, discontinuity: bool, *, renews: bool = False) -> Stamp:
        last = self._last
        if last is not None:
            capture_ns = capture_ns if renews else later(capture_ns, last.capture_time_ns)
            discontinuity = discontinuity or clock != last.clock
        self._last = Stamp(capture_ns, clock, discontinuity, renews)
        return self._last


class _Move(NamedTuple):
    """The offset of the next frame."""

    offset_ns: int
    jumped: bool = False
    renews: bool = False


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
