"""Looking a recording over without decoding it: where its keyframes are, and which pictures it shows when."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream

from pipeline.config import SourceConfig
from pipeline.messages import Survey
from pipeline.stage import Access
from stages.decode.capture_time import NS, recording_start_ns
from stages.decode.container import Opened, open_container
from stages.decode.faults import FOREIGN
from stages.decode.reader import stream_info

# Containers whose packets all have time stamps, and in which FFmpeg finds a keyframe by its time.
CUT_FORMATS = frozenset({"mov", "mp4", "matroska", "webm", "mpegts"})


def survey(source: SourceConfig, *, access: Access | None = None) -> Survey:
    """Read the packets of a file, by its path, once. Raises `SourceError`, `AddressError` where it cannot be opened."""
    opened = open_container(source, source.url, access=access)
    try:
        return _surveyed(opened, source)
    finally:
        opened.container.close()


def _surveyed(opened: Opened, source: SourceConfig) -> Survey:
    formats = set(opened.container.format.name.split(","))
    shown: list[int] = []
    keys: list[tuple[int, int]] = []
    packets, last_dts, is_regular = 0, None, bool(formats & CUT_FORMATS)
    try:
        for packet in opened.container.demux(opened.stream):
            if not packet.size:
                continue
            packets += 1
            is_regular = is_regular and _is_regular(packet, last_dts)
            if not is_regular:
                continue
            assert packet.pts is not None
            last_dts = packet.dts or last_dts
            if packet.is_keyframe:
                keys.append((packet.pts, packet.pts if packet.dts is None else packet.dts))
            if not packet.is_discard:
                shown.append(packet.pts)
    except FOREIGN:  # what could be read counts
        pass
    known = about(opened, source)
    pts, times = np.sort(np.array(shown, dtype=np.int64)), np.array(keys, dtype=np.int64).reshape(-1, 2)
    if not is_regular or not len(times) or np.any(np.diff(pts) == 0) or np.any(np.diff(times[:, 0]) < 0):
        return replace(known, packets=packets)
    # Nothing before the first keyframe can be decoded.
    return replace(known, pts=pts[np.searchsorted(pts, times[0, 0]) :], keys=times, packets=packets)


def about(opened: Opened, source: SourceConfig) -> Survey:
    """What is known before any packet."""
    return Survey(
        time_base=opened.stream.time_base or Fraction(1, NS),
        rate=stream_info(opened.stream, live=False).frame_rate,
        start_ns=recording_start_ns(opened.container.metadata, told=source.began),
    )


def _is_regular(packet: Packet[VideoStream], last_dts: int | None) -> bool:
    """Whether times only go on. Matroska has none of decoding, which FFmpeg makes up, at first not at all."""
    if packet.pts is None or packet.is_corrupt:
        return False
    return last_dts is None or packet.dts is None or packet.dts >= last_dts
