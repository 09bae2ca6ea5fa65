"""Events at lines and zones as bytes: read back as they were, and refused where they are none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.client.decode import decode_message
from pipeline.errors import WireError
from pipeline.messages import ZoneEvent
from pipeline.wire import DEFAULT_LIMITS, Header, decode_event, encode_event, encode_header, topic_of
from pipeline.wire.limits import Limits

EVENT = ZoneEvent(
    type="zone_left",
    source_id="door",
    epoch=3,
    seq=71,
    number=2,
    time_ns=1_700_000_000_000_000_000,
    place="square",
    track_id=9,
    class_name="person",
    score=0.5,
    box=(1.0, 2.0, 3.25, 4.0),
    entered_time_ns=1_699_999_990_000_000_000,
    left_time_ns=1_699_999_999_500_000_000,
    reason="moved",
)
HEADER = Header(type="event", kind="events", session=1, number=1, publish_time_ns=1)


def changed(**changes: Any) -> bytes:
    return json.dumps({**json.loads(encode_event(EVENT)), **changes}).encode()


def test_a_message_reads_back_and_its_fields_are_those_of_the_page() -> None:
    parts = [topic_of("door", "events"), encode_header(HEADER), encode_event(EVENT)]
    assert parts[0] == b"door+/events/"
    assert decode_message(parts, limits=DEFAULT_LIMITS)[1] == EVENT
    assert json.loads(parts[2]) == {
        "type": "event",
        "schema": "1.0",
        "id": "door/3/71/2",
        "event": "zone_left",
        "source_id": "door",
        "epoch": 3,
        "seq": 71,
        "number": 2,
        "time_ns": 1_700_000_000_000_000_000,
        "zone": "square",
        "track_id": 9,
        "class_name": "person",
        "score": 0.5,
        "box": [1.0, 2.0, 3.25, 4.0],
        "entered_time_ns": 1_699_999_990_000_000_000,
        "left_time_ns": 1_699_999_999_500_000_000,
        "dwell_seconds": 9.5,
        "reason": "moved",
    }


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert decode_event(changed(schema="1.7", colour="red")) == EVENT


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not an event"),
        (b"\xff\xfe", "not an event"),
        (b"[" * 100_000, "not an event"),
        (b"[]", "not an event"),
        (changed(schema="2.0"), "schema version '2.0'"),
        (changed(zone=None), "neither line nor zone is named"),
        (changed(zone="x" * 65), "zone"),
        (changed(source_id="a/b"), "source_id"),
        (changed(box=[1, 2, 3]), "box"),
        (changed(seq=-1), "seq"),
        (changed(type="result"), "not an event"),
    ],
)
def test_what_is_no_event_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(WireError, match=says.replace(".", r"\.")):
        decode_event(data)


def test_more_than_is_accepted_is_refused_before_it_is_read() -> None:
    with pytest.raises(WireError, match="at most 10 are accepted"):
        decode_event(encode_event(EVENT), limits=Limits(message_bytes=10))
