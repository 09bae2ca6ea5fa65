"""What a camera worker tells the thread of the vision worker that decodes its packets: msgpack, read only as this."""

from __future__ import annotations

from fractions import Fraction

import msgspec

from pipeline.messages import CodedPacket, GapReason, Matrix, Range, StreamHeader


class Opened(msgspec.Struct, frozen=True, array_like=True, tag="opened"):
    """A connection whose packets follow, the first of them a key frame; see `StreamHeader`."""

    session: int  # grows with each
    codec: str
    extradata: bytes
    width: int
    height: int
    reorders: bool
    time_base: tuple[int, int]
    frame_rate: tuple[int, int] | None
    frame_count: int | None
    matrix: Matrix | None
    value_range: Range
    live: bool
    timed: bool
    reported: bool
    start_ns: int
    declared_packets: int

    @classmethod
    def of(cls, header: StreamHeader, *, session: int) -> Opened:
        """A header, to be sent."""
        rate = header.frame_rate
        return cls(
            session=session,
            codec=header.codec,
            extradata=header.extradata,
            width=header.width,
            height=header.height,
            reorders=header.reorders,
            time_base=(header.time_base.numerator, header.time_base.denominator),
            frame_rate=None if rate is None else (rate.numerator, rate.denominator),
            frame_count=header.frame_count,
            matrix=header.matrix,
            value_range=header.range,
            live=header.live,
            timed=header.timed,
            reported=header.reported,
            start_ns=header.start_ns,
            declared_packets=header.declared_packets,
        )

    @property
    def header(self) -> StreamHeader:
        """The header that was sent."""
        return StreamHeader(
            codec=self.codec,
            extradata=self.extradata,
            width=self.width,
            height=self.height,
            reorders=self.reorders,
            time_base=Fraction(*self.time_base),
            frame_rate=None if self.frame_rate is None else Fraction(*self.frame_rate),
            frame_count=self.frame_count,
            matrix=self.matrix,
            range=self.value_range,
            live=self.live,
            timed=self.timed,
            reported=self.reported,
            start_ns=self.start_ns,
            declared_packets=self.declared_packets,
        )


class Coded(msgspec.Struct, frozen=True, array_like=True, tag="packet"):
    """A packet, whose data is the next part of the message."""

    session: int
    pts: int | None
    dts: int | None
    is_key: bool
    is_corrupt: bool
    is_shown: bool
    arrival_ns: int
    report: tuple[int, int, int | None] | None
    after_hole: bool

    @classmethod
    def of(cls, packet: CodedPacket, *, session: int, after_hole: bool) -> Coded:
        """A packet without its data; `after_hole`: those before it were dropped."""
        return cls(
            session,
            packet.pts,
            packet.dts,
            packet.is_key,
            packet.is_corrupt,
            packet.is_shown,
            packet.arrival_ns,
            packet.report,
            after_hole,
        )

    def packet(self, data: bytes) -> CodedPacket:
        """The packet that was sent."""
        return CodedPacket(
            data=data,
            pts=self.pts,
            dts=self.dts,
            is_key=self.is_key,
            arrival_ns=self.arrival_ns,
            is_corrupt=self.is_corrupt,
            is_shown=self.is_shown,
            report=self.report,
            after_hole=self.after_hole,
        )


class Drain(msgspec.Struct, frozen=True, array_like=True, tag="drain"):
    """A file's packets were all sent: what the decoder holds back is to be given, and the epoch stays open."""

    session: int


class Closed(msgspec.Struct, frozen=True, array_like=True, tag="closed"):
    """A connection that brings nothing more: what the decoder holds back is given, and its epoch ended.

    `settles`: another vision worker had what went before, so that an epoch is to be begun, which ends the one before.
    """

    session: int
    reason: GapReason
    final: bool
    settles: bool


ToDecoder = Opened | Coded | Drain | Closed

encode = msgspec.msgpack.Encoder().encode
decode_to_decoder = msgspec.msgpack.Decoder(ToDecoder).decode


def packet_address(inlet: str, number: int) -> str:
    """Where packets of a source go, beside the inlet of the vision worker that decodes them."""
    return f"{inlet}-packets-{number}"
