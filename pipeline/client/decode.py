"""The three parts of a message as the object they stand for."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import WireError
from pipeline.messages import Item
from pipeline.redis_replies import Oversized
from pipeline.wire import (
    Header,
    Limits,
    decode_event,
    decode_gap,
    decode_header,
    decode_picture,
    decode_result,
    decode_status,
    parse_topic,
)

PARTS = 3


def decode_message(parts: Sequence[bytes], *, limits: Limits) -> tuple[Header, Item]:
    """Header and content of topic, header, payload. Raises `WireError`."""
    if len(parts) != PARTS:
        raise WireError(f"message of {len(parts)} parts; topic, header and payload are needed")
    topic, head, payload = parts
    for part in (head, payload):
        if isinstance(part, Oversized):
            raise WireError(f"message of {part.size} bytes; at most {limits.message_bytes} are accepted")
    source_id, kind = parse_topic(topic)
    header = decode_header(head, limits=limits)
    if header.kind != kind:
        raise WireError(f"header of kind {header.kind!r} on topic {topic!r}")
    item = _content(header, payload, limits)
    if source_id and item.source_id != source_id:
        raise WireError(f"message of source {item.source_id!r} on topic {topic!r}")
    return header, item


def _content(header: Header, payload: bytes, limits: Limits) -> Item:
    if header.type == "result":
        return decode_result(payload, gap_before=header.gap_before, limits=limits)
    if header.type == "gap":
        return decode_gap(payload, limits=limits)
    if header.type == "frame":
        return decode_picture(payload, limits=limits)
    if header.type == "event":
        return decode_event(payload, limits=limits)
    return decode_status(payload, limits=limits)
