"""What NVIDIA's decoder takes, by NVIDIA's table, so that a source can be judged on a machine without a GPU.

https://developer.nvidia.com/video-encode-decode-support-matrix: the generations from Turing to Hopper, whose rows agree
in what is kept here. Blackwell also takes 4:2:2 and 10-bit H.264.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What is taken of one codec: sizes in pixels."""

    bits: frozenset[int]
    chroma: frozenset[str]
    least: tuple[int, int]
    most: tuple[int, int]


_EIGHT = frozenset({8})
_TO_TWELVE = frozenset({8, 10, 12})
_420 = frozenset({"4:2:0"})

NVDEC: dict[str, Limits] = {
    "mpeg1video": Limits(_EIGHT, _420, (48, 16), (4080, 4080)),
    "mpeg2video": Limits(_EIGHT, _420, (48, 16), (4080, 4080)),
    "mpeg4": Limits(_EIGHT, _420, (48, 16), (2032, 2032)),
    "vc1": Limits(_EIGHT, _420, (48, 16), (2048, 1024)),
    "h264": Limits(_EIGHT, _420, (48, 16), (4096, 4096)),
    "hevc": Limits(_TO_TWELVE, frozenset({"4:2:0", "4:4:4"}), (144, 144), (8192, 8192)),
    "vp8": Limits(_EIGHT, _420, (48, 16), (4096, 4096)),
    "vp9": Limits(_TO_TWELVE, _420, (128, 128), (8192, 8192)),
    "av1": Limits(frozenset({8, 10}), _420 | {"gray"}, (128, 128), (8192, 8192)),
    "mjpeg": Limits(_EIGHT, _420, (64, 64), (32768, 16384)),
}


def nvdec_refusal(*, codec: str, bits: int | None, chroma: str | None, width: int, height: int) -> str | None:
    """Why NVDEC cannot decode such a stream; None where it can, as far as is known of the stream."""
    limits = NVDEC.get(codec)
    if limits is None:
        return f"it has no decoder for {codec}"
    if chroma is not None and chroma not in limits.chroma:
        return f"of {codec} it takes {_or(sorted(limits.chroma))}, not {chroma}"
    if bits is not None and bits not in limits.bits:
        return f"of {codec} it takes {_or(map(str, sorted(limits.bits)))} bits a sample, not {bits}"
    if width % 2 or height % 2:
        return f"its surfaces have even sides, and the picture has {width}x{height}"
    (least_width, least_height), (most_width, most_height) = limits.least, limits.most
    if not (least_width <= width <= most_width and least_height <= height <= most_height):
        allowed = f"{least_width}x{least_height} to {most_width}x{most_height}"
        return f"of {codec} it takes {allowed}, not {width}x{height}"
    return None


def _or(words: Iterable[str]) -> str:
    return " or ".join(words)
