"""Headers, results, gaps and statuses: `WireError`, or an item that can be coded and shown again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from pipeline.client.decode import decode_message
from pipeline.errors import WireError
from pipeline.messages import FrameResult, Gap, Item, Picture
from pipeline.wire import (
    DEFAULT_LIMITS,
    MASK_FORMS,
    RESULT_KINDS,
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
    item_to_json,
    select_kind,
    topic_of,
)
from tests.pipeline.wire.samples import make_result, make_status
from tests.pipeline.wire.test_picture import PICTURE


def one_input(data: bytes) -> None:
    """The first byte says what the others are."""
    if not data:
        return
    read = READERS[data[0] % len(READERS)]
    try:
        read(data[1:])
    except WireError:
        return


def _header(data: bytes) -> None:
    header = decode_header(data)
    assert decode_header(encode_header(header)) == header


def _result(data: bytes) -> None:
    _again(decode_result(data))


def _gap(data: bytes) -> None:
    _again(decode_gap(data))


def _status(data: bytes) -> None:
    _again(decode_status(data))


def _picture(data: bytes) -> None:
    _again(decode_picture(data))


def _cut(data: bytes) -> None:
    decode_result(data)  # what is cut was decoded before
    for kind in RESULT_KINDS:
        decode_result(select_kind(data, kind))


def _message(data: bytes) -> None:
    """Three parts, divided by what no topic and no header holds."""
    topic, _, rest = data.partition(b"\xff\xff")
    head, _, payload = rest.partition(b"\xff\xff")
    _, item = decode_message([topic, head, payload], limits=DEFAULT_LIMITS)
    _again(item)


def _again(item: Item) -> None:
    """What was read can be written, both ways, and read again."""
    msgspec.json.encode(item_to_json(item, timings=True))
    repr(item)
    if isinstance(item, FrameResult):
        decode_result(encode_result(item))
    elif isinstance(item, Gap):
        assert decode_gap(encode_gap(item)) == item
    elif isinstance(item, Picture):
        decode_picture(encode_picture(item))
    else:
        decode_status(encode_status(item))


READERS: tuple[Callable[[bytes], Any], ...] = (_header, _result, _gap, _status, _cut, _message, _picture)


def seeds() -> Iterator[bytes]:
    """Every kind of message, whole."""
    result = make_result(objects=3, height=12, width=20, segments=5)
    gap = encode_gap(Gap("door", 1, 3, 9, "late"))
    header = Header(type="result", kind="all", session=2**64 - 1, number=7, gap_before=3, publish_time_ns=5)
    bodies = {
        0: [encode_header(header)],
        1: [encode_result(result, kind) for kind in (*RESULT_KINDS, *MASK_FORMS)],
        2: [gap],
        3: [encode_status(make_status())],
        4: [encode_result(result)],
        6: [encode_picture(PICTURE)],
        5: [_parts(result.source_id, header, encode_result(result)), _parts("door", _of_gap(header), gap)],
    }
    for reader, several in bodies.items():
        yield from (bytes([reader]) + body for body in several)


def _of_gap(header: Header) -> Header:
    return msgspec.structs.replace(header, type="gap")


def _parts(source_id: str, header: Header, payload: bytes) -> bytes:
    return b"\xff\xff".join([topic_of(source_id, "all"), encode_header(header), payload])
