"""Pictures on the wire: what a JPEG says of its size is believed only where it is what was declared."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from pipeline.errors import WireError
from pipeline.messages import Picture
from pipeline.wire import Limits, decode_picture, encode_picture, item_from_json, item_to_json
from pipeline.wire.picture import jpeg_size
from tests.pipeline.wire.samples import same


def jpeg(width: int, height: int, *options: int) -> bytes:
    rows = np.linspace(0, 255, width * height * 3).reshape(height, width, 3).astype(np.uint8)
    return np.asarray(cv2.imencode(".jpg", rows, list(options))[1]).tobytes()


PICTURE = Picture(
    source_id="door",
    epoch=2,
    seq=41,
    pts=123_000,
    time_base=Fraction(1, 90_000),
    capture_time_ns=1_790_000_000_123_456_789,
    clock="rtcp",
    width=1920,
    height=1080,
    jpeg_width=48,
    jpeg_height=27,
    jpeg=jpeg(48, 27),
)


def test_a_picture_comes_as_it_was() -> None:
    read = decode_picture(encode_picture(PICTURE))
    assert same(read, PICTURE)
    assert read.rgb().shape == (27, 48, 3)
    assert repr(read) == f"Picture(door/2/41, 48x27, {len(PICTURE.jpeg)} bytes)"
    assert same(item_from_json(json.loads(json.dumps(item_to_json(PICTURE)))), PICTURE)


@pytest.mark.parametrize(
    "options",
    [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2), (cv2.IMWRITE_JPEG_OPTIMIZE, 1)],
)
def test_the_size_is_read_off_every_kind_of_jpeg(options: tuple[int, ...]) -> None:
    assert jpeg_size(jpeg(48, 27, *options)) == (48, 27)


def test_what_stands_before_the_size_is_passed_over() -> None:
    data = jpeg(48, 27)
    comment = b"\xff\xfe\x00\x04ab" + b"\xff\xff\xff\x01"
    assert jpeg_size(data[:2] + comment + data[2:]) == (48, 27)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"PNG", b"\xff\xd8\xff\xda\x00\x02", b"\xff\xd8\xff\xc0\x00\x11\x08"]
)
def test_what_declares_no_size_is_refused(data: bytes) -> None:
    with pytest.raises(WireError, match="jpeg"):
        jpeg_size(data)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"jpeg_width": 47}, "it says 48x27; 47x27 was declared"),
        ({"jpeg_width": 8192, "jpeg_height": 4321}, "jpeg: 8192x4321 declared"),
        ({"width": 8192, "height": 4321}, "picture: 8192x4321 declared"),
        ({"jpeg": b"nothing"}, "does not begin as a JPEG does"),
    ],
)
def test_what_is_not_as_declared_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(WireError, match=said):
        decode_picture(encode_picture(replace(PICTURE, **changes)))


def test_a_jpeg_that_says_it_is_huge_is_not_decoded() -> None:
    """A bomb: 100 bytes that stand for 4 gigapixels."""
    head = jpeg(48, 27)
    at = head.index(b"\xff\xc0")
    bomb = head[: at + 5] + b"\xff\xff\xff\xff" + head[at + 9 :]
    with pytest.raises(WireError, match="65535x65535"):
        decode_picture(encode_picture(replace(PICTURE, jpeg=bomb)))
    with pytest.raises(WireError, match="jpeg: 65535x65535 declared"):
        decode_picture(encode_picture(replace(PICTURE, jpeg=bomb, jpeg_width=65_535, jpeg_height=65_535)))
    with pytest.raises(WireError, match="message of"):
        decode_picture(encode_picture(PICTURE), limits=Limits(message_bytes=100))


def test_a_broken_jpeg_is_told_when_it_is_decoded() -> None:
    broken = PICTURE.jpeg[: PICTURE.jpeg.index(b"\xff\xda")]
    with pytest.raises(ValueError, match="cannot be decoded"):
        replace(PICTURE, jpeg=broken).rgb()
