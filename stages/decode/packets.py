"""Packets of an opened container, as whoever decodes them elsewhere must have them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction

from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.video.stream import VideoStream

from pipeline.messages import CodedPacket, Matrix, Range, StreamHeader
from stages.decode.capture_time import NS, recording_start_ns
from stages.decode.container import Opened
from stages.decode.faults import FOREIGN
from stages.decode.reader import UNTIMED_FORMATS, declared_packets, stream_info
from stages.decode.sender_reports import ReportReader

_START_CODES = (b"\x00\x00\x01", b"\x00\x00\x00\x01")
_TO_START_CODES = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
_MATRICES: dict[int, Matrix] = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 7: "bt709"}
_FULL_RANGE = 2


def header_of(opened: Opened, *, live: bool, began: str = "") -> StreamHeader:
    """What the container says of its video; `began`: see `SourceConfig`."""
    stream, codec = opened.stream, opened.stream.codec_context
    info = stream_info(stream, live=live)
    container = opened.container
    extradata = bytes(codec.extradata or b"")
    value_range: Range = "full" if int(codec.color_range) == _FULL_RANGE or _is_jpeg(stream) else "limited"
    return StreamHeader(
        codec=codec.name,
        extradata=b"" if _needs_start_codes(codec.name, extradata) else extradata,
        width=codec.width,
        height=codec.height,
        reorders=bool(codec.has_b_frames),
        time_base=stream.time_base or Fraction(1, NS),
        frame_rate=info.frame_rate,
        frame_count=info.frame_count,
        matrix=_MATRICES.get(int(codec.colorspace)),
        range=value_range,
        live=live,
        timed=not (live and container.format.name in UNTIMED_FORMATS),
        reported=container.format.name == "rtsp",
        start_ns=0 if live else recording_start_ns(container.metadata, told=began),
        declared_packets=declared_packets(opened),
    )


def packets_of(
    opened: Opened, *, live: bool, monotonic_ns: Callable[[], int] = time.monotonic_ns
) -> Iterator[CodedPacket]:
    """Packets with start codes and parameter sets. Raises what FFmpeg does where the stream fails."""
    codec = opened.stream.codec_context
    reports = ReportReader() if live and opened.container.format.name == "rtsp" else None
    rewritten: BitStreamFilterContext | None = None
    if _needs_start_codes(codec.name, bytes(codec.extradata or b"")):
        rewritten = BitStreamFilterContext(_TO_START_CODES[codec.name], opened.stream)
    for packet in opened.container.demux(opened.stream):
        if not packet.size:
            continue
        heard = None if reports is None else reports.read(packet)
        report = None if heard is None else (heard.ssrc, heard.camera_ns, heard.pts)
        arrival_ns = monotonic_ns()
        parts = _rewritten(packet, rewritten)
        for part in parts if parts is not None else [packet]:
            yield CodedPacket(
                data=bytes(part),
                pts=part.pts,
                dts=part.dts,
                is_key=part.is_keyframe,
                is_corrupt=part.is_corrupt or parts is None,
                is_shown=not part.is_discard,
                arrival_ns=arrival_ns,
                report=report,
            )
            report = None


def _rewritten(packet: Packet[VideoStream], by: BitStreamFilterContext | None) -> list[Packet[VideoStream]] | None:
    """The packet with start codes; None for one that is broken."""
    try:
        return [packet] if by is None else by.filter(packet)
    except FOREIGN:
        return None


def _needs_start_codes(codec: str, extradata: bytes) -> bool:
    """Whether its packets tell the length of each part instead, as in MP4 and Matroska."""
    return codec in _TO_START_CODES and bool(extradata) and not extradata.startswith(_START_CODES)


def _is_jpeg(stream: VideoStream) -> bool:
    name = stream.codec_context.pix_fmt
    return bool(name and name.startswith("yuvj"))
