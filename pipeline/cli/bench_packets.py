"""RTP packets of a coded picture inside an RTSP connection (RFC 6184, RFC 2326 section 10.12), made once for many."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

CLOCK_RATE: Final = 90_000
PAYLOAD_TYPE: Final = 96
MAX_PAYLOAD: Final = 1400
_FU_A: Final = 28
_HEADER: Final = struct.Struct("!BBHBBHII")  # $, channel, length; then RTP: version, marker and type, seq, time, source
_NUMBERS: Final = struct.Struct("!HI")
_NUMBERS_AT: Final = 6  # of a packet: its sequence number, then its time stamp
_SSRC: Final = 0x0EF00001


@dataclass(frozen=True, slots=True)
class Picture:
    """The packets of one picture in a row, on channel 0; numbered when they are sent."""

    data: bytes
    offsets: tuple[int, ...]  # of the packets in `data`

    @classmethod
    def of(cls, nals: Iterable[bytes]) -> Picture:
        """Cut NAL units into packets; the last one carries the marker."""
        parts = [part for nal in nals for part in payloads(nal)]
        data, offsets = bytearray(), []
        for i, part in enumerate(parts):
            offsets.append(len(data))
            marker = 0x80 if i == len(parts) - 1 else 0
            data += _HEADER.pack(0x24, 0, len(part) + 12, 0x80, PAYLOAD_TYPE | marker, 0, 0, _SSRC) + part
        return cls(bytes(data), tuple(offsets))

    def numbered(self, sequence: int, timestamp: int) -> bytearray:
        """What to send; the packets are numbered from `sequence`."""
        data = bytearray(self.data)
        for i, offset in enumerate(self.offsets):
            _NUMBERS.pack_into(data, offset + _NUMBERS_AT, (sequence + i) & 0xFFFF, timestamp & 0xFFFFFFFF)
        return data


def payloads(nal: bytes) -> Iterator[bytes]:
    """RTP payloads that carry one NAL unit: itself if it fits, else FU-A fragments."""
    if len(nal) <= MAX_PAYLOAD:
        yield nal
        return
    indicator, kind = (nal[0] & 0xE0) | _FU_A, nal[0] & 0x1F
    body, step = nal[1:], MAX_PAYLOAD - 2
    for offset in range(0, len(body), step):
        start = 0x80 if offset == 0 else 0
        end = 0x40 if offset + step >= len(body) else 0
        yield bytes((indicator, start | end | kind)) + body[offset : offset + step]
