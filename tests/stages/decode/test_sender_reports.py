"""Sender reports as FFmpeg hands them out with packets, on packets of our own."""

from __future__ import annotations

import struct
from typing import cast

from av.packet import Packet
from av.video.stream import VideoStream

from stages.decode.sender_reports import ReportReader, SenderReport

NTP = 0xE8000000 << 32


class FakePacket:
    """What is read of a packet: its pts, the report before it (SSRC, NTP time), and its wall-clock microseconds."""

    def __init__(self, pts: int | None, *, report: tuple[int, int] | None = None, micros: int | None = None) -> None:
        self.pts = pts
        self._data = {}
        if report is not None:
            self._data["rtcp_sr"] = struct.pack("@IQIII4x", *report, 0, 0, 0)
        if micros is not None:
            self._data["prft"] = struct.pack("@qi4x", micros, 24)

    def has_sidedata(self, kind: str) -> bool:
        return kind in self._data

    def get_sidedata(self, kind: str) -> bytes:
        return self._data[kind]


def read(*packets: FakePacket) -> list[SenderReport | None]:
    reader = ReportReader()
    return [reader.read(cast("Packet[VideoStream]", packet)) for packet in packets]


def test_without_reports_there_are_none() -> None:
    assert read(FakePacket(None), FakePacket(3600)) == [None, None]


def test_a_report_before_the_first_packet_is_told_with_it_and_with_the_next() -> None:
    packets = FakePacket(None, report=(7, NTP), micros=5), FakePacket(3600, micros=6), FakePacket(7200, micros=7)
    assert read(*packets) == [SenderReport(7, 5000, None), SenderReport(7, 6000, 3600), None]


def test_the_packet_that_was_handed_the_next_ones_time_is_passed_over() -> None:
    packets = (
        FakePacket(0),
        FakePacket(3600, report=(7, NTP), micros=80),  # both are those of the next packet
        FakePacket(7200, report=(7, NTP), micros=80),
        FakePacket(10_800, micros=120),
    )
    assert read(*packets) == [None, None, SenderReport(7, 80_000, 7200), None]


def test_each_report_is_told_once() -> None:
    first, second = (7, NTP), (8, NTP + 1)
    packets = [FakePacket(number, micros=number) for number in range(6)]
    packets[1], packets[3] = FakePacket(1, report=first, micros=1), FakePacket(3, report=second, micros=3)
    told = [None, None, SenderReport(7, 2000, 2), None, SenderReport(8, 4000, 4), None]
    assert read(*packets) == told


def test_ntp_time_0_says_nothing() -> None:
    assert read(FakePacket(0, report=(7, 0), micros=1), FakePacket(1, micros=2)) == [None, None]


def test_reports_with_every_packet_are_not_too_many() -> None:
    packets = [FakePacket(number, report=(7, NTP + number), micros=number) for number in range(10)]
    told = [report for report in read(*packets) if report is not None]
    assert [report.pts for report in told] == [1, 3, 5, 7, 9]
    assert all(report.camera_ns == 1000 * (report.pts or 0) for report in told)
