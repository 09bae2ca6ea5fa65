"""Pictures as bytes and back; what a JPEG says of its size is held against the limits before anybody decodes it."""

from __future__ import annotations

from fractions import Fraction
from typing import Final, cast

from pipeline.errors import WireError
from pipeline.messages import Clock, Picture
from pipeline.wire.limits import DEFAULT_LIMITS, Limits, check_area
from pipeline.wire.schema import FrameRecord, pack, unpack

START, STUFFING, SCAN, END = 0xD8, 0xFF, 0xDA, 0xD9
NO_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD8)})  # markers that stand alone
FRAME_HEADERS: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


def encode_picture(picture: Picture) -> bytes:
    """The payload of the kind `frame`."""
    return pack(
        FrameRecord(
            source_id=picture.source_id,
            epoch=picture.epoch,
            seq=picture.seq,
            pts=picture.pts,
            time_base=(picture.time_base.numerator, picture.time_base.denominator),
            capture_time_ns=picture.capture_time_ns,
            clock=picture.clock,
            width=picture.width,
            height=picture.height,
            jpeg_width=picture.jpeg_width,
            jpeg_height=picture.jpeg_height,
            jpeg=memoryview(picture.jpeg),
        )
    )


def decode_picture(data: bytes | memoryview, *, limits: Limits = DEFAULT_LIMITS) -> Picture:
    """The picture, its JPEG not decoded. Raises `WireError`."""
    return picture_of(unpack(data, FrameRecord, limits), limits)


def picture_of(record: FrameRecord, limits: Limits) -> Picture:
    """The picture a record holds, whose JPEG is of the size that is said. Raises `WireError`."""
    check_area("picture", record.width, record.height, limits.picture_pixels)
    check_area("jpeg", record.jpeg_width, record.jpeg_height, limits.picture_pixels)
    found = jpeg_size(record.jpeg)
    if found != (record.jpeg_width, record.jpeg_height):
        raise WireError(f"jpeg: it says {found[0]}x{found[1]}; {record.jpeg_width}x{record.jpeg_height} was declared")
    return Picture(
        source_id=record.source_id,
        epoch=record.epoch,
        seq=record.seq,
        pts=record.pts,
        time_base=Fraction(*record.time_base),
        capture_time_ns=record.capture_time_ns,
        clock=cast(Clock, record.clock),
        width=record.width,
        height=record.height,
        jpeg_width=record.jpeg_width,
        jpeg_height=record.jpeg_height,
        jpeg=bytes(record.jpeg),
    )


def jpeg_size(data: bytes | memoryview) -> tuple[int, int]:
    """Width and height that a JPEG declares. Raises `WireError` where it declares none before its pixels."""
    if bytes(data[:2]) != bytes((STUFFING, START)):
        raise WireError("jpeg: it does not begin as a JPEG does")
    at = 2
    while at + 4 <= len(data) and data[at] == STUFFING:
        marker = data[at + 1]
        if marker == STUFFING or marker in NO_LENGTH:
            at += 1 if marker == STUFFING else 2
            continue
        if marker in (SCAN, END):
            break
        if marker in FRAME_HEADERS and at + 9 <= len(data):
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    raise WireError("jpeg: no size before its pixels")
