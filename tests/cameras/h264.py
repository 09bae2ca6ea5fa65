"""H.264 and H.265 access units to send: encoded once from pictures, or taken from a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Literal

import av
import numpy as np
import numpy.typing as npt
from av.bitstream import BitStreamFilterContext

from tests.cameras.numbered import numbered_frames

_START_CODE = re.compile(rb"\x00\x00\x01")
Codec = Literal["h264", "h265"]
ENCODERS: dict[Codec, str] = {"h264": "libx264", "h265": "libx265"}

_IDR, _SPS, _PPS = 5, 7, 8
_H265_IRAP = range(16, 22)  # pictures at which decoding can start (H.265, table 7-1)
_H265_VPS, _H265_SPS, _H265_PPS = 32, 33, 34


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """What makes one picture."""

    nals: tuple[bytes, ...]  # without start codes
    presented: int  # position in presentation order
    codec: Codec = "h264"

    @property
    def is_keyframe(self) -> bool:
        """Whether decoding can start here."""
        if self.codec == "h265":
            return any(h265_type(nal) in _H265_IRAP for nal in self.nals)
        return any(nal[0] & 0x1F == _IDR for nal in self.nals)

    @property
    def nbytes(self) -> int:
        """Bytes of all its NAL units."""
        return sum(map(len, self.nals))


@dataclass(frozen=True, slots=True, eq=False)
class H264Video:
    """Access units in decoding order; the first is a keyframe, so that they can be sent in a loop."""

    units: tuple[AccessUnit, ...]
    sps: bytes
    pps: bytes
    width: int
    height: int
    fps: Fraction
    codec: Codec = "h264"
    vps: bytes = b""  # H.265 alone has one

    def __len__(self) -> int:
        return len(self.units)


def encode_h264(
    pictures: Iterable[npt.NDArray[np.uint8]],
    *,
    fps: Fraction = Fraction(25),
    keyframe_interval: int = 10,
    b_frames: int = 0,
    codec_name: Codec = "h264",
) -> H264Video:
    """RGB pictures [H, W, 3], all of one even size, as H.264 or H.265."""
    options = {"preset": "ultrafast", "crf": "20", "sc_threshold": "0", "threads": "1"}
    if codec_name == "h265":
        options |= {"x265-params": "log-level=none:repeat-headers=1:pools=1"}
    if b_frames == 0:
        options["tune"] = "zerolatency"
    codec = None
    packets = []
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = number, 1 / fps
        if codec is None:
            codec = av.CodecContext.create(ENCODERS[codec_name], "w")
            codec.width, codec.height, codec.pix_fmt = frame.width, frame.height, "yuv420p"
            codec.framerate, codec.time_base = fps, 1 / fps
            codec.gop_size, codec.max_b_frames = keyframe_interval, b_frames
            codec.options = options
        packets += codec.encode(frame)
    if codec is None:
        raise ValueError("encode_h264 was given no pictures")
    packets += codec.encode(None)
    units = [(packet.pts, bytes(packet)) for packet in packets]
    return _video(units, codec.width, codec.height, fps, codec_name)


@lru_cache(maxsize=32)
def numbered_video(
    count: int = 50,
    width: int = 320,
    height: int = 240,
    *,
    fps: int | Fraction = 25,
    keyframe_interval: int = 10,
    b_frames: int = 0,
    first: int = 0,
    codec: Codec = "h264",
) -> H264Video:
    """Pictures that carry their number (see `tests.cameras.numbered`) as H.264 or H.265; encoded once."""
    pictures = numbered_frames(count, width, height, first=first)
    return encode_h264(
        pictures, fps=Fraction(fps), keyframe_interval=keyframe_interval, b_frames=b_frames, codec_name=codec
    )


@lru_cache(maxsize=8)
def video_from_file(path: str | Path, *, max_frames: int = 500) -> H264Video:
    """The H.264 of a file, as it is, up to `max_frames`."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if stream.codec_context.name != "h264":
            raise ValueError(f"{path} holds {stream.codec_context.name}; h264 is needed")
        annex_b = BitStreamFilterContext("h264_mp4toannexb", stream)
        units = []
        for packet in container.demux(stream):
            units += [(filtered.pts, bytes(filtered)) for filtered in annex_b.filter(packet if packet.size else None)]
            if len(units) >= max_frames:
                break
        fps = stream.average_rate or Fraction(25)
        return _video(units[:max_frames], stream.width, stream.height, fps)


def _video(
    units: list[tuple[int | None, bytes]], width: int, height: int, fps: Fraction, codec: Codec = "h264"
) -> H264Video:
    """Access units from (pts, Annex-B bytes) in decoding order."""
    order = {pts: position for position, pts in enumerate(sorted(pts for pts, _ in units if pts is not None))}
    made = []
    for position, (pts, data) in enumerate(units):
        presented = position if pts is None else order[pts]
        made.append(AccessUnit(nals=tuple(split_annex_b(data)), presented=presented, codec=codec))
    if codec == "h265":
        parameters = {h265_type(nal): nal for nal in made[0].nals}
        sets = parameters[_H265_SPS], parameters[_H265_PPS]
        return H264Video(tuple(made), *sets, width, height, fps, codec, parameters[_H265_VPS])
    parameters = {nal[0] & 0x1F: nal for nal in made[0].nals}
    return H264Video(tuple(made), parameters[_SPS], parameters[_PPS], width, height, fps)


def h265_type(nal: bytes) -> int:
    """The type of an H.265 NAL unit."""
    return nal[0] >> 1 & 0x3F


def split_annex_b(data: bytes) -> Iterator[bytes]:
    """The NAL units of an Annex-B stream, start codes and trailing zeros removed."""
    starts = [match.end() for match in _START_CODE.finditer(data)]
    ends = [start - 3 for start in starts[1:]] + [len(data)]
    for start, end in zip(starts, ends, strict=True):
        nal = data[start:end].rstrip(b"\x00")
        if nal:
            yield nal
