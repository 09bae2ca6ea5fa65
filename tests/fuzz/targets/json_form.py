"""Lines of results.jsonl: `WireError`, or an item that gives the same line again."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pipeline.errors import WireError
from pipeline.messages import Gap
from pipeline.wire import item_from_json, item_to_json
from tests.pipeline.wire.samples import make_result, make_status


def one_input(data: bytes) -> None:
    """A line of JSON; what is none was refused before us."""
    try:
        values = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return
    try:
        item = item_from_json(values)
    except WireError:
        return
    line = msgspec.json.encode(item_to_json(item, timings=True))
    again = item_from_json(msgspec.json.decode(line))
    assert type(again) is type(item)


def seeds() -> Iterator[bytes]:
    """A result with everything in it, a gap, a status."""
    items = (make_result(objects=2, height=6, width=8, segments=3), Gap("door", 1, 3, 9, "late"), make_status())
    for item in items:
        yield msgspec.json.encode(item_to_json(item, timings=True))
