"""Events at lines and zones as bytes and back. They are seldom and small, and JSON, so that anything can read them."""

from __future__ import annotations

import msgspec

from pipeline.errors import WireError
from pipeline.messages import ZoneEvent
from pipeline.wire.json_form import event_to_json
from pipeline.wire.json_reader import event_from_json
from pipeline.wire.limits import DEFAULT_LIMITS, Limits


def encode_event(event: ZoneEvent) -> bytes:
    """The payload of an event: JSON, as in files."""
    return msgspec.json.encode(event_to_json(event))


def decode_event(data: bytes | memoryview, *, limits: Limits = DEFAULT_LIMITS) -> ZoneEvent:
    """The event. Raises `WireError`."""
    if len(data) > limits.message_bytes:
        raise WireError(f"message of {len(data)} bytes; at most {limits.message_bytes} are accepted")
    try:
        values = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        raise WireError(f"not an event: {exc}") from exc
    return event_from_json(values)
