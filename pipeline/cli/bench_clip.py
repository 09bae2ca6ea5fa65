"""A clip for cameras to send: a moving scene of 1280x720 at 25 frames a second, H.264 of 2 Mbit/s, no B-frames."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import numpy as np
import numpy.typing as npt

WIDTH: Final = 1280
HEIGHT: Final = 720
FPS: Final = 25
BIT_RATE: Final = 2_000_000
KEYFRAME_INTERVAL: Final = 50
FRAMES: Final = KEYFRAME_INTERVAL  # encoding more of them only takes longer

_START_CODE = re.compile(rb"\x00\x00\x01")
_SPS, _PPS = 7, 8


@dataclass(frozen=True, slots=True)
class Clip:
    """Coded pictures that can be sent in a loop: the first is a keyframe."""

    pictures: tuple[tuple[bytes, ...], ...]  # the NAL units of each, without start codes
    sps: bytes
    pps: bytes


def scene(frames: int = FRAMES) -> Iterator[npt.NDArray[np.uint8]]:
    """RGB pictures [720, 1280, 3]: a textured ground that moves by, boxes that cross it, and a sensor's noise."""
    chance = np.random.default_rng(25)
    coarse = chance.integers(60, 200, (HEIGHT // 16 + 2, 2 * WIDTH // 16 + 2), dtype=np.uint8)
    ground = np.kron(coarse, np.ones((16, 16), np.uint8))
    for number in range(frames):
        picture = np.repeat(ground[:HEIGHT, 4 * number : 4 * number + WIDTH, None], 3, axis=2).astype(np.int16)
        for box in range(6):
            x, y = (150 * box + (5 + box) * number) % (WIDTH - 80), 100 * box + 30
            picture[y : y + 90, x : x + 60, box % 3] = 230 - 20 * box
        picture += chance.integers(-3, 4, (HEIGHT, WIDTH, 1), dtype=np.int16)
        yield picture.clip(0, 255).astype(np.uint8)


def encoded(pictures: Iterator[npt.NDArray[np.uint8]]) -> Clip:
    """The pictures as H.264, coded as a camera does it: one slice, no look-ahead, no B-frames."""
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    codec.framerate, codec.time_base = Fraction(FPS), Fraction(1, FPS)
    codec.bit_rate, codec.gop_size, codec.max_b_frames = BIT_RATE, KEYFRAME_INTERVAL, 0
    codec.options = {"preset": "veryfast", "tune": "zerolatency", "sc_threshold": "0", "threads": "1"}
    packets = []
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        packets += codec.encode(frame)
    packets += codec.encode(None)
    coded = tuple(tuple(nal_units(bytes(packet))) for packet in packets)
    parameters = {nal[0] & 0x1F: nal for nal in coded[0]}
    return Clip(coded, parameters[_SPS], parameters[_PPS])


def nal_units(data: bytes) -> Iterator[bytes]:
    """The NAL units of an Annex-B stream, start codes and trailing zeros removed."""
    starts = [match.end() for match in _START_CODE.finditer(data)]
    ends = [start - 3 for start in starts[1:]] + [len(data)]
    for start, end in zip(starts, ends, strict=True):
        nal = data[start:end].rstrip(b"\x00")
        if nal:
            yield nal
