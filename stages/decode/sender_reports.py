"""RTCP sender reports: what a camera says of its own clock, and which of it is believed.

A report ties an RTP time stamp to the camera's wall clock. FFmpeg hands it out with the first packet after it
(`rtcp_sr`: SSRC, NTP time, ...), and with every packet the wall-clock time that the last report gives it (`prft`,
microseconds), which is right also where the 32-bit RTP time stamp has wrapped; both over TCP and over UDP (measured,
PyAV 18.1). FFmpeg does not compare the SSRC of a report with that of the pictures, and believes whatever it says.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from stages.decode.capture_time import NS

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

_REPORT = struct.Struct("@IQ")  # how FFmpeg's AVRTCPSenderReport begins: SSRC, NTP time
_WALL_CLOCK = struct.Struct("@q")  # how its AVProducerReferenceTime begins: microseconds since 1970
_NTP_ERA_NS = NS << 32  # after which NTP time begins again, next in 2036


class SenderReport(NamedTuple):
    """When a picture was taken by the camera's clock, as the report that came before the picture has it."""

    ssrc: int
    camera_ns: int  # since 1970
    pts: int | None  # of the picture


class ReportReader:
    """Finds the sender reports among one stream's packets.

    What the packet with a report says of its own time is not taken: FFmpeg's parser hands a packet that has no side
    data that of the next one, so that the first report seems to be of a picture too early (measured). The time of the
    packet after it is right.
    """

    def __init__(self) -> None:
        self._last = b""  # the report, as FFmpeg has it
        self._pending = False

    def read(self, packet: Packet[VideoStream]) -> SenderReport | None:
        """What the report before this packet says, once it can be told.

        A stream's first packet, whose time stamp the parser loses, is told at once, and the report comes once more.
        """
        due = self._pending
        if packet.has_sidedata("rtcp_sr"):
            said = bytes(packet.get_sidedata("rtcp_sr"))
            self._pending = self._pending or said != self._last
            self._last = said
        if not self._pending or not packet.has_sidedata("prft") or not (due or packet.pts is None):
            return None
        ssrc, ntp = _REPORT.unpack_from(self._last)
        (micros,) = _WALL_CLOCK.unpack_from(packet.get_sidedata("prft"))
        self._pending = packet.pts is None
        # NTP time 0: the camera says that it has no clock (RFC 3550, 6.4.1).
        return SenderReport(ssrc, micros * 1000, packet.pts) if ntp else None


class _Claim(NamedTuple):
    """Reports in a row that agree with each other, not with what is believed."""

    ssrc: int
    offset_ns: int
    reports: int


class Belief:
    """Which reports are believed: pure arithmetic, in nanoseconds, on `offset`, the camera's clock less the pts.

    A report is believed at once that agrees with the believed ones before it to `agree_ns`; or, where none is believed,
    that has the camera's clock within `near_ns` of this machine's. Any other (the camera's clock is wrong, was set, or
    goes back; the report is another stream's) is believed when `enough` in a row, of one SSRC, agree with each other.
    Never believed is a clock that is `never_ns` or more away: it was not set. What is believed holds for `hold_ns`.
    """

    def __init__(
        self,
        *,
        agree_ns: int = NS // 2,
        near_ns: int = 10 * NS,
        never_ns: int = 86_400 * NS,
        enough: int = 3,
        hold_ns: int = 300 * NS,
    ) -> None:
        self._agree_ns = agree_ns
        self._near_ns = near_ns
        self._never_ns = never_ns
        self._enough = enough
        self._hold_ns = hold_ns
        self._believed: tuple[int, int] | None = None  # (offset_ns, arrival_ns of the last report that said so)
        self._claim: _Claim | None = None

    def offset_ns(self, now_ns: int) -> int | None:
        """What is believed; None: nothing, or no longer."""
        if self._believed is None or now_ns - self._believed[1] > self._hold_ns:
            return None
        return self._believed[0]

    def is_near(self, camera_ns: int, arrival_ns: int) -> bool:
        """Whether the camera's clock is close enough to this machine's to be believed at once."""
        return abs(_of_this_era(camera_ns, arrival_ns) - arrival_ns) <= self._near_ns

    def hear(self, ssrc: int, *, camera_ns: int, pts_ns: int, arrival_ns: int) -> None:
        """A report, which gives `camera_ns` to a picture of this pts that arrived at `arrival_ns`."""
        camera_ns = _of_this_era(camera_ns, arrival_ns)
        if abs(camera_ns - arrival_ns) >= self._never_ns:
            self._claim = None
            return
        offset_ns = camera_ns - pts_ns
        believed = self.offset_ns(arrival_ns)
        if believed is None:
            at_once = self.is_near(camera_ns, arrival_ns)
        else:
            at_once = abs(offset_ns - believed) <= self._agree_ns
        if at_once or self._claimed(ssrc, offset_ns):
            self._believed, self._claim = (offset_ns, arrival_ns), None

    def forget(self) -> None:
        """The time stamps have jumped: what was said of the old ones does not hold for the new."""
        self._believed = self._claim = None

    def _claimed(self, ssrc: int, offset_ns: int) -> bool:
        """Whether enough reports in a row have said so."""
        last = self._claim
        agrees = last is not None and last.ssrc == ssrc and abs(last.offset_ns - offset_ns) <= self._agree_ns
        reports = last.reports + 1 if last is not None and agrees else 1
        self._claim = _Claim(ssrc, offset_ns, reports)
        return reports >= self._enough


def _of_this_era(camera_ns: int, arrival_ns: int) -> int:
    """NTP time says nothing of its era; the one nearest to this machine's clock is meant."""
    return camera_ns + round((arrival_ns - camera_ns) / _NTP_ERA_NS) * _NTP_ERA_NS
