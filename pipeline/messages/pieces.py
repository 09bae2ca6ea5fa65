"""Parts of a recording that are decoded by themselves, and what is known of a recording before any of it is decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from pipeline.messages.arrays import Int64


@dataclass(frozen=True, slots=True)
class Piece:
    """Pictures whose time stamps are in [`begin`, `end`); None is open. The whole recording, unless told otherwise."""

    begin: int | None = None
    end: int | None = None
    key_pts: int | None = None  # of the keyframe that decoding begins with; None: with the first packet
    key_dts: int | None = None
    keys_only: bool = False  # its keyframes alone

    @property
    def is_whole(self) -> bool:
        """Whether it is all of a recording's time."""
        return self.begin is None and self.end is None

    def holds(self, pts: int | None) -> bool:
        """Whether a picture belongs to it; one without a time stamp only to a whole recording."""
        if pts is None:
            return self.is_whole
        return (self.begin is None or pts >= self.begin) and not self.is_before(pts)

    def is_before(self, pts: int | None) -> bool:
        """Whether it has ended when a picture of this time is shown."""
        return self.end is not None and pts is not None and pts >= self.end


@dataclass(frozen=True, slots=True)
class Counted:
    """What reading a file came to, or a piece of it; those of pieces add up to the file's."""

    frames: int = 0
    packets: int = 0  # that are to be shown
    hidden: int = 0  # that an edit list leaves out
    damaged: int = 0  # frames in which something was guessed
    lost_rest: bool = False  # it broke off where nothing tells how much is missing
    declared: int = 0  # packets of the whole file, as its container says; 0: unknown, or a part is wanted

    @property
    def undecoded(self) -> int:
        """Packets without a frame, those that are missing included, when all was read."""
        missing = self.declared - self.hidden - self.frames if self.declared else 0
        return max(self.packets + self.lost_rest - self.frames, missing, 0)

    def __add__(self, other: Counted) -> Counted:
        return Counted(
            frames=self.frames + other.frames,
            packets=self.packets + other.packets,
            hidden=self.hidden + other.hidden,
            damaged=self.damaged + other.damaged,
            lost_rest=self.lost_rest or other.lost_rest,
            declared=max(self.declared, other.declared),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What the packets of a recording tell.

    `pts` are int64 [n], rising, of the pictures that are shown; `keys` int64 [k, 2], rising, when keyframes are shown
    and decoded. Both are empty where it can only be read from the beginning, in one piece: packets without time stamps,
    or stamps that go back.
    """

    time_base: Fraction
    rate: Fraction | None
    start_ns: int  # since 1970; 0 where nothing tells
    pts: Int64 = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    keys: Int64 = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    packets: int = 0  # as far as it could be read

    @property
    def can_be_cut(self) -> bool:
        """Whether it can be read from a keyframe on."""
        return len(self.pts) > 0
