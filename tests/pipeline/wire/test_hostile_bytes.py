"""Whatever bytes come, a decoder gives an object or `WireError`: never another error, never memory for a lie."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import WireError
from pipeline.messages import Gap
from pipeline.wire import (
    Header,
    decode_gap,
    decode_header,
    decode_picture,
    decode_result,
    decode_status,
    encode_gap,
    encode_header,
    encode_picture,
    encode_result,
    encode_status,
    parse_topic,
    select_kind,
)
from tests.pipeline.wire.samples import make_result, make_status
from tests.pipeline.wire.test_picture import PICTURE

Decoder = Callable[[bytes], Any]

HEADER = Header(type="result", kind="all", session=2**64 - 1, number=7, gap_before=3, publish_time_ns=5)
SMALL = make_result(objects=3, height=12, width=20, segments=5)

TARGETS: dict[str, tuple[Decoder, bytes]] = {
    "result": (decode_result, encode_result(SMALL)),
    "boxes": (decode_result, encode_result(SMALL, "boxes")),
    "cut": (lambda data: select_kind(data, "masks"), encode_result(SMALL)),
    "crops": (decode_result, encode_result(SMALL, "masks.crops")),
    "polygons": (decode_result, encode_result(SMALL, "masks.polygons")),
    "coco": (decode_result, encode_result(SMALL, "masks.coco")),
    "frame": (decode_picture, encode_picture(PICTURE)),
    "gap": (decode_gap, encode_gap(Gap("door", 1, 3, 9, "late"))),
    "status": (decode_status, encode_status(make_status())),
    "header": (decode_header, encode_header(HEADER)),
}


def taken(decode: Decoder, data: bytes) -> bool:
    """Whether the decoder took the bytes; anything but an object or `WireError` fails the test."""
    try:
        decode(data)
    except WireError:
        return False
    return True


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one of the things done to them that tend to break decoders."""
    broken = bytearray(data)
    at = rng.randrange(len(broken))
    match rng.randrange(6):
        case 0:
            broken[at] ^= 1 << rng.randrange(8)
        case 1:
            broken[at] = rng.choice([0x00, 0x7F, 0x80, 0x90, 0xC0, 0xC6, 0xCB, 0xD9, 0xDB, 0xDC, 0xDD, 0xDF, 0xFF])
        case 2:
            del broken[at:]
        case 3:
            del broken[at : at + rng.randint(1, 8)]
        case 4:
            broken[at:at] = rng.randbytes(rng.randint(1, 8))
        case _:
            length = rng.randint(1, 16)
            broken[at : at + length] = rng.randbytes(length)
    return bytes(broken)


@pytest.mark.parametrize("name", TARGETS)
def test_every_truncation_is_refused(name: str) -> None:
    decode, good = TARGETS[name]
    assert taken(decode, good)
    assert not any(taken(decode, good[:end]) for end in range(len(good)))


@pytest.mark.parametrize("name", TARGETS)
def test_thousands_of_mutations_raise_nothing_but_wire_errors(name: str) -> None:
    decode, good = TARGETS[name]
    rng = random.Random(name)
    verdicts = [taken(decode, mutated(good, rng)) for _ in range(2_000)]
    assert 0 < sum(verdicts) < 2_000


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200))
def test_noise_is_refused(name: str, data: bytes) -> None:
    assert not taken(TARGETS[name][0], data)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every field of a decoded message and every element of its lists, nested ones included."""
    steps = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(*path, step) for step in steps] + [p for step in steps for p in paths_of(value[step], (*path, step))]


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_value_in_any_field_is_taken_or_refused(name: str, data: st.DataObject) -> None:
    decode, good = TARGETS[name]
    fields = msgspec.msgpack.decode(good)
    path = data.draw(st.sampled_from(paths_of(fields)))
    part = fields
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = data.draw(plain)
    taken(decode, msgspec.msgpack.encode(fields))


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(b"\x81\xa1x" + b"\x91" * 500_000, id="deep arrays"),
        pytest.param(b"\x81\xa1x" * 200_000, id="deep maps"),
        pytest.param(b"\xdf\xff\xff\xff\xff", id="map of 4 G"),
        pytest.param(b"\x81\xa7classes\x81\xa6things\xdd\xff\xff\xff\xff", id="array of 4 G"),
        pytest.param(b"\x81\xa9source_id\xdb\xff\xff\xff\xff", id="text of 4 GB"),
        pytest.param(b"\x81\xaadetections\x81\xa3box\xc6\xff\xff\xff\xff", id="bytes of 4 GB"),
        pytest.param(b"\x81\xa1x\xc9\xff\xff\xff\xff\x01", id="extension of 4 GB"),
        pytest.param(bytes(65 * 1024 * 1024), id="65 MiB"),
    ],
)
def test_bombs_are_refused_without_memory(name: str, bomb: bytes) -> None:
    tracemalloc.start()
    refused = not taken(TARGETS[name][0], bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused
    assert peak < 1_000_000


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_any_topic_is_read_or_refused(topic: bytes) -> None:
    taken(parse_topic, topic)
