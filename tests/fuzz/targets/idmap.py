"""Coded id maps: `WireError`, or a map of exactly the size that was asked for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.errors import WireError
from pipeline.wire import Limits, decode_id_map, encode_id_map

# A size of two bytes each way would allow a map of 8 GB.
LIMITS = Limits(picture_pixels=1 << 22)
_HEAD = 4


def one_input(data: bytes) -> None:
    """Width and height, two bytes each, then the coded map."""
    width, height = int.from_bytes(data[:2], "little"), int.from_bytes(data[2:_HEAD], "little")
    try:
        ids = decode_id_map(data[_HEAD:], width=width, height=height, limits=LIMITS)
    except WireError:
        return
    assert ids.shape == (height, width)
    assert np.array_equal(decode_id_map(encode_id_map(ids), width=width, height=height), ids)


def seeds() -> Iterator[bytes]:
    """Maps of one colour, of stripes, of noise."""
    chance = np.random.default_rng(0)
    stripes = np.repeat(np.arange(24, dtype=np.uint16), 32).reshape(24, 32)
    for ids in (np.zeros((1, 1), np.uint16), stripes, chance.integers(0, 9, (16, 24)).astype(np.uint16)):
        height, width = ids.shape
        yield width.to_bytes(2, "little") + height.to_bytes(2, "little") + encode_id_map(ids)
