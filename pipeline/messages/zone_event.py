"""What tracks do at lines and zones, as events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ZoneEventType = Literal["line_crossed", "zone_entered", "zone_left", "occupancy_changed"]
LeftReason = Literal["moved", "track_ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneEvent:
    """Something that happened at a line or in a zone; None stands for what its type does not tell.

    The same results give the same events with the same ids, whoever makes them, and whenever.
    """

    type: ZoneEventType
    source_id: str
    epoch: int
    seq: int  # of the frame that told of it
    number: int  # of the frame's events, from 0
    time_ns: int  # capture time of that frame
    place: str  # name of the line or zone
    track_id: int | None = None
    class_name: str | None = None
    score: float | None = None  # of the track, when it was seen last
    box: tuple[float, float, float, float] | None = None  # xyxy, pixels of the source picture, likewise
    direction: str | None = None  # a line's word for the way it was crossed
    entered_time_ns: int | None = None  # capture time of the first frame of the visit
    left_time_ns: int | None = None  # and of the last one it was seen inside in
    reason: LeftReason | None = None  # why a visit ended
    occupancy: int | None = None  # visitors of the zone from now on

    @property
    def identity(self) -> str:
        """``source_id/epoch/seq/number``: unique for ever."""
        return f"{self.source_id}/{self.epoch}/{self.seq}/{self.number}"

    @property
    def dwell_seconds(self) -> float | None:
        """How long the visit was, or has been so far; None where there is none."""
        if self.entered_time_ns is None:
            return None
        return ((self.time_ns if self.left_time_ns is None else self.left_time_ns) - self.entered_time_ns) / 1e9
