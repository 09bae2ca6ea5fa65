"""Reading `results.jsonl`: a line at a time, however long it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from pipeline.errors import SinkError, WireError
from pipeline.messages import FrameResult, Gap
from pipeline.wire import DEFAULT_LIMITS, item_from_json

MOST_BYTES = 2 * DEFAULT_LIMITS.message_bytes  # of a line: base64 and decimal numbers are longer than the wire's form
BLOCK_BYTES = 1 << 20


def read_items(path: Path) -> Iterator[FrameResult | Gap]:
    """Results and gaps in order. Raises `SinkError` where it cannot be read, `WireError` naming a line that is none."""
    number = 0
    try:
        with path.open("rb") as file:
            while line := file.readline(MOST_BYTES):
                number += 1
                yield _item(path, number, line)
    except OSError as exc:
        raise SinkError(f"{path}: cannot be read: {exc.strerror}") from exc


def count_lines(path: Path) -> int:
    """How many items there are. Raises `SinkError`."""
    try:
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(BLOCK_BYTES), b""))
    except OSError as exc:
        raise SinkError(f"{path}: cannot be read: {exc.strerror}") from exc


def _item(path: Path, number: int, line: bytes) -> FrameResult | Gap:
    try:
        item = item_from_json(msgspec.json.decode(line))
    except (WireError, msgspec.DecodeError) as exc:
        raise WireError(f"{path}, line {number}: {exc}") from exc
    if not isinstance(item, FrameResult | Gap):
        raise WireError(f"{path}, line {number}: neither a result nor a gap")
    return item
