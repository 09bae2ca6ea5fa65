"""The id map as bytes: run lengths of the label map, compressed with zstd.

A run goes on from the end of a row to the start of the next. ``n`` runs are laid out as six planes of ``n`` bytes: the
first (lowest) to the fourth byte of every length, then the first and second byte of every id. Planes compress a third
better than the numbers themselves, because neighbours in a plane are alike. The whole is one zstd frame that states
its content size.

Measured beside delta-to-the-row-above, contour and COCO codings (1080p, 32 segments, two shared CPU cores): 0.9 ms and
28 KB, against 1.2 ms and 30 KB, 2.1 ms and 28 KB, 88 ms and 80 KB.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard

from pipeline.errors import WireError
from pipeline.messages import runs_of
from pipeline.wire.limits import DEFAULT_LIMITS, Limits, check_area, check_count

UInt16 = npt.NDArray[np.uint16]
UInt32 = npt.NDArray[np.uint32]

LENGTH_BYTES = 4
RUN_BYTES = 6  # four of the length, two of the id
ZSTD_LEVEL = 1  # level 3 takes 10 % longer and gains nothing on run lengths


class _Contexts(threading.local):
    """zstd's contexts, which may not be shared between threads, and cost more to make than a small map to code."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
        self.decompressor = zstandard.ZstdDecompressor()


_contexts = _Contexts()


def encode_id_map(ids: UInt16) -> bytes:
    """The coded map.

    Args:
        ids: uint16 [h, w], at least one pixel.
    """
    return compress_runs(*runs_of(ids))


def decode_id_map(data: bytes | memoryview, *, width: int, height: int, limits: Limits = DEFAULT_LIMITS) -> UInt16:
    """The map, uint16 [height, width]. Raises `WireError` for anything but a coded map of this size within `limits`."""
    lengths, values = decompress_runs(data, width=width, height=height, limits=limits)
    return expand_runs(lengths, values, width=width, height=height)


def expand_runs(lengths: UInt32, values: UInt16, *, width: int, height: int) -> UInt16:
    """The map [height, width] of runs that cover it exactly."""
    return np.repeat(values, lengths).reshape(height, width)


def compress_runs(lengths: UInt32, values: UInt16) -> bytes:
    """The coded form of runs."""
    return bytes(_contexts.compressor.compress(_planes(lengths, "<u4") + _planes(values, "<u2")))


def decompress_runs(
    data: bytes | memoryview, *, width: int, height: int, limits: Limits = DEFAULT_LIMITS
) -> tuple[UInt32, UInt16]:
    """Lengths and ids of runs that cover `width` x `height` pixels exactly. Raises `WireError`."""
    check_area("id map", width, height, limits.picture_pixels)
    raw = _decompress(data, most=RUN_BYTES * min(width * height, limits.runs))
    count, rest = divmod(len(raw), RUN_BYTES)
    if count == 0 or rest:
        raise WireError(f"id map: {len(raw)} bytes of runs; a multiple of {RUN_BYTES}, at least one run, is needed")
    planes = np.frombuffer(raw, dtype=np.uint8).reshape(RUN_BYTES, count)
    lengths = np.ascontiguousarray(planes[:4].T).view("<u4").reshape(count)
    values = np.ascontiguousarray(planes[4:].T).view("<u2").reshape(count)
    covered = int(lengths.sum(dtype=np.uint64))
    if covered != width * height or not lengths.all():
        raise WireError(
            f"id map: runs cover {covered} pixels, none empty; {width}x{height} = {width * height} are needed"
        )
    return lengths, values


def compress_lengths(lengths: npt.NDArray[np.int64]) -> bytes:
    """Lengths below 2**32 alone, in their four planes."""
    return bytes(_contexts.compressor.compress(_planes(lengths, "<u4"))) if len(lengths) else b""


def decompress_lengths(
    data: bytes | memoryview, *, count: int, limits: Limits = DEFAULT_LIMITS
) -> npt.NDArray[np.int64]:
    """So many lengths. Raises `WireError`."""
    check_count("masks: runs", count, limits.runs)
    raw = _decompress(data, most=LENGTH_BYTES * max(count, 1)) if count or len(data) else b""
    if len(raw) != LENGTH_BYTES * count:
        raise WireError(f"masks: {len(raw)} bytes of lengths; {LENGTH_BYTES * count} are needed")
    planes = np.frombuffer(raw, dtype=np.uint8).reshape(LENGTH_BYTES, count)
    return np.ascontiguousarray(planes.T).view("<u4").reshape(count).astype(np.int64)


def _planes(numbers: npt.NDArray[Any], dtype: str) -> bytes:
    """Byte k of every number, for k from the lowest: [n] numbers of b bytes as b planes of n bytes."""
    return np.ascontiguousarray(numbers, dtype=dtype).view(np.uint8).reshape(len(numbers), -1).T.tobytes()


def _decompress(data: bytes | memoryview, *, most: int) -> bytes:
    """The content of one zstd frame, whose header is believed only after its size is found acceptable."""
    try:
        frame = zstandard.get_frame_parameters(data)
        if not 0 < frame.content_size <= most:  # an unknown size reads as 2**64 - 1
            raise WireError(f"id map: zstd frame declares {frame.content_size} bytes; 1 to {most} are accepted")
        raw = _contexts.decompressor.decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as exc:
        raise WireError(f"id map: not a whole zstd frame: {exc}") from exc
    return bytes(raw)
