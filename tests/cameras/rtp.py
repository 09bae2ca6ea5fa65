"""RTP packets of H.264 (RFC 6184) and H.265 (RFC 7798), whole or in fragments, and RTCP sender reports (RFC 3550)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

CLOCK_RATE = 90_000
PAYLOAD_TYPE = 96
MAX_PAYLOAD = 1400
_NTP_OFFSET_SECONDS = 2_208_988_800  # from 1900 to 1970
_FU_A = 28
_H265_FU = 49


def payloads(nal: bytes, *, max_payload: int = MAX_PAYLOAD) -> Iterator[bytes]:
    """RTP payloads that carry one NAL unit: itself if it fits, else FU-A fragments."""
    if len(nal) <= max_payload:
        yield nal
        return
    indicator, kind = (nal[0] & 0xE0) | _FU_A, nal[0] & 0x1F
    body, step = nal[1:], max_payload - 2
    for offset in range(0, len(body), step):
        start = 0x80 if offset == 0 else 0
        end = 0x40 if offset + step >= len(body) else 0
        yield bytes((indicator, start | end | kind)) + body[offset : offset + step]


def ntp_time(wall_clock_ns: int) -> tuple[int, int]:
    """Seconds since 1900, which begin again in 2036, and 2^32nds of one."""
    seconds, nanoseconds = divmod(wall_clock_ns, 1_000_000_000)
    return (seconds + _NTP_OFFSET_SECONDS) & 0xFFFFFFFF, (nanoseconds << 32) // 1_000_000_000


def shifted(packet: bytes, ticks: int) -> bytes:
    """An RTP packet whose time stamp is so much later, or earlier."""
    (timestamp,) = struct.unpack_from("!I", packet, 4)
    return packet[:4] + struct.pack("!I", (timestamp + ticks) & 0xFFFFFFFF) + packet[8:]


def h265_payloads(nal: bytes, *, max_payload: int = MAX_PAYLOAD) -> Iterator[bytes]:
    """RTP payloads that carry one H.265 NAL unit: itself if it fits, else fragments."""
    if len(nal) <= max_payload:
        yield nal
        return
    header, kind = bytes(((nal[0] & 0x81) | _H265_FU << 1, nal[1])), nal[0] >> 1 & 0x3F
    body, step = nal[2:], max_payload - 3
    for offset in range(0, len(body), step):
        start = 0x80 if offset == 0 else 0
        end = 0x40 if offset + step >= len(body) else 0
        yield header + bytes((start | end | kind,)) + body[offset : offset + step]


PAYLOADS = {"h264": payloads, "h265": h265_payloads}


@dataclass(slots=True)
class RtpSender:
    """Numbers the packets of one stream and counts them for its sender reports."""

    ssrc: int = 0x0EF00001
    sequence: int = 0
    first_timestamp: int = 0
    packets: int = field(default=0, init=False)
    octets: int = field(default=0, init=False)

    def packetise(self, nals: Iterable[bytes], timestamp: int, *, codec: str = "h264") -> list[bytes]:
        """RTP packets of one access unit; the last one carries the marker."""
        parts = [payload for nal in nals for payload in PAYLOADS[codec](nal)]
        return [self._packet(part, timestamp, marker=i == len(parts) - 1) for i, part in enumerate(parts)]

    def report(self, timestamp: int, wall_clock_ns: int | None, *, ssrc: int | None = None) -> bytes:
        """A sender report that ties an RTP timestamp to the wall clock; None is NTP time 0."""
        ntp = (0, 0) if wall_clock_ns is None else ntp_time(wall_clock_ns)
        head = struct.pack("!BBHI", 0x80, 200, 6, self.ssrc if ssrc is None else ssrc)
        counts = (self.packets & 0xFFFFFFFF, self.octets & 0xFFFFFFFF)
        return head + struct.pack("!IIIII", *ntp, self._wrapped(timestamp), *counts)

    def _packet(self, payload: bytes, timestamp: int, *, marker: bool) -> bytes:
        kind = PAYLOAD_TYPE | (0x80 if marker else 0)
        header = struct.pack("!BBHII", 0x80, kind, self.sequence & 0xFFFF, self._wrapped(timestamp), self.ssrc)
        self.sequence += 1
        self.packets += 1
        self.octets += len(payload)
        return header + payload

    def _wrapped(self, timestamp: int) -> int:
        return (self.first_timestamp + timestamp) & 0xFFFFFFFF
