"""Compressed video on its way from who reads a source to who decodes it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from pipeline.messages.frames import Matrix, Range


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHeader:
    """What a decoder must know of a stream before its first packet, and what its container says of time.

    Attributes:
        codec: FFmpeg's name of it.
        extradata: parameter sets that the packets do not repeat, as they would stand in front of one.
        width, height: as declared; 0 for unknown.
        reorders: whether frames come out in another order than packets go in.
        time_base: of the packets' time stamps.
        frame_rate: as declared; None where the container is silent.
        frame_count: of a file, as declared.
        matrix, range: the colours of its pictures; no matrix where the stream names none.
        live, timed: a camera's; whether frames have time stamps that mean something.
        reported: whether it tells of its own clock.
        start_ns: when a recording began, since 1970.
        declared_packets: how many packets the file says its video has, where it can be believed; else 0.
    """

    codec: str
    extradata: bytes
    width: int
    height: int
    reorders: bool
    time_base: Fraction
    frame_rate: Fraction | None
    frame_count: int | None
    matrix: Matrix | None
    range: Range
    live: bool
    timed: bool
    reported: bool
    start_ns: int = 0
    declared_packets: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CodedPacket:
    """What a demuxer gave for one frame, or for a part of one.

    Attributes:
        data: H.264 and HEVC with start codes.
        pts, dts: in units of the header's time base.
        is_key: whether decoding may begin here.
        is_corrupt: whether the demuxer says that a part is missing.
        is_shown: whether it is expected to give a frame.
        after_hole: whether packets before it were dropped.
        arrival_ns: when it was read, on the monotonic clock of this machine.
        report: what the camera said of its own clock before it: SSRC, nanoseconds since 1970, and their time stamp.
    """

    data: bytes
    pts: int | None
    dts: int | None
    is_key: bool
    arrival_ns: int
    is_corrupt: bool = False
    is_shown: bool = True
    after_hole: bool = False
    report: tuple[int, int, int | None] | None = None

    def __repr__(self) -> str:
        return f"CodedPacket({len(self.data)} bytes, pts {self.pts}{', key' if self.is_key else ''})"
