"""The id map's coding: equal after a round trip, refused before a lie can cost memory."""

from __future__ import annotations

import random
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pipeline.errors import WireError
from pipeline.wire import Limits, decode_id_map, encode_id_map
from pipeline.wire.idmap import runs_of
from tests.pipeline.wire.samples import blobs


def decoded(data: bytes, ids: np.ndarray) -> np.ndarray:
    return decode_id_map(data, width=ids.shape[1], height=ids.shape[0])


def coded_by_hand(lengths: list[int], values: list[int]) -> bytes:
    """The format as README.md words it, number by number: the slow reference."""
    planes = [bytes((n >> 8 * k) & 255 for n in lengths) for k in range(4)]
    planes += [bytes((v >> 8 * k) & 255 for v in values) for k in range(2)]
    return zstandard.ZstdCompressor(level=1).compress(b"".join(planes))


@settings(deadline=None)
@given(arrays(np.uint16, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 65_535)))
def test_any_map_survives_the_round_trip(ids: np.ndarray) -> None:
    back = decoded(encode_id_map(ids), ids)
    assert back.dtype == np.uint16
    assert np.array_equal(back, ids)


@settings(deadline=None)
@given(arrays(np.uint16, array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.integers(0, 2)))
def test_the_bytes_are_those_of_the_slow_reference(ids: np.ndarray) -> None:
    runs = [(len(list(run)), int(value)) for value, run in groupby(ids.ravel().tolist())]
    assert encode_id_map(ids) == coded_by_hand([n for n, _ in runs], [v for _, v in runs])


@pytest.mark.parametrize("shape", [(1, 1), (1, 70_000), (70_000, 1), (540, 960)])
def test_sizes_from_one_pixel_to_runs_longer_than_16_bits(shape: tuple[int, int]) -> None:
    ids = np.full(shape, 7, dtype=np.uint16)
    assert len(runs_of(ids)[0]) == 1
    assert np.array_equal(decoded(encode_id_map(ids), ids), ids)


def test_a_view_that_is_not_contiguous_is_coded_as_it_looks() -> None:
    ids = blobs(40, 60, 9)[::2, 5:40]
    assert np.array_equal(decoded(encode_id_map(ids), ids), ids)


def test_the_decoded_map_may_be_written() -> None:
    ids = blobs(20, 30, 4)
    map_ = decoded(encode_id_map(ids), ids)
    map_[0, 0] = 9
    assert map_.flags.writeable
    assert map_[0, 0] == 9


def test_a_map_without_pixels_cannot_be_coded() -> None:
    with pytest.raises(ValueError, match=r"\[0, 5\] has no pixels"):
        encode_id_map(np.zeros((0, 5), dtype=np.uint16))


def test_threads_code_side_by_side() -> None:
    maps = [blobs(54, 96, 8, seed=seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        backs = list(pool.map(lambda ids: decoded(encode_id_map(ids), ids), maps * 10))
    assert all(np.array_equal(back, ids) for back, ids in zip(backs, maps * 10, strict=True))


@pytest.mark.parametrize(
    ("lengths", "values", "said"),
    [
        ([5], [1], "cover 5 pixels"),
        ([7], [1], "cover 7 pixels"),
        ([6, 0], [1, 2], "none empty"),
        ([2**32 - 1] * 2, [1, 2], "cover 8589934590 pixels"),
        ([1] * 7, [1] * 7, "declares 42 bytes"),
    ],
)
def test_runs_that_do_not_cover_the_map_are_refused(lengths: list[int], values: list[int], said: str) -> None:
    with pytest.raises(WireError, match=said):
        decode_id_map(coded_by_hand(lengths, values), width=3, height=2)


@pytest.mark.parametrize("size", [1, 5, 7])
def test_a_broken_number_of_bytes_is_refused(size: int) -> None:
    with pytest.raises(WireError, match="multiple of 6"):
        decode_id_map(zstandard.ZstdCompressor().compress(bytes(size)), width=9, height=9)


@pytest.mark.parametrize(("width", "height"), [(0, 4), (4, 0), (-1, -1), (1 << 20, 1 << 20)])
def test_sizes_out_of_bounds_are_refused(width: int, height: int) -> None:
    with pytest.raises(WireError, match="pixels are accepted"):
        decode_id_map(encode_id_map(np.zeros((2, 2), np.uint16)), width=width, height=height)


def test_a_decompression_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = zstandard.ZstdCompressor(level=3).compress(bytes(1 << 29))
    tracemalloc.start()
    with pytest.raises(WireError, match="declares 536870912 bytes"):
        decode_id_map(bomb, width=8192, height=4320)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_frame_that_does_not_tell_its_size_is_refused() -> None:
    stream = zstandard.ZstdCompressor().compressobj()
    silent = stream.compress(bytes(600)) + stream.flush()
    with pytest.raises(WireError, match="declares 18446744073709551615 bytes"):
        decode_id_map(silent, width=1920, height=1080)


def test_more_runs_than_the_limit_are_refused() -> None:
    data = encode_id_map(np.arange(100, dtype=np.uint16).reshape(10, 10))
    with pytest.raises(WireError, match="1 to 594 are accepted"):
        decode_id_map(data, width=10, height=10, limits=Limits(runs=99))


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=64))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        decode_id_map(data, width=1000, height=1000)


def test_damaged_maps_are_refused_or_read_as_a_map_of_that_size() -> None:
    ids = blobs(54, 96, 8)
    good = encode_id_map(ids)
    rng = random.Random(1)
    refused = 0
    for _ in range(3_000):
        data = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            assert decoded(bytes(data[: rng.choice([len(data), rng.randrange(len(data))])]), ids).shape == ids.shape
        except WireError:
            refused += 1
    assert refused > 2_000
