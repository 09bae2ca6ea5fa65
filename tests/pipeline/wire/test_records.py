"""Headers, gaps, statuses and topics: what goes in comes out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.errors import WireError
from pipeline.messages import Gap, Latency, SourceStatus
from pipeline.wire import (
    KINDS,
    Header,
    decode_gap,
    decode_header,
    decode_status,
    encode_gap,
    encode_header,
    encode_status,
    parse_topic,
    topic_of,
)
from pipeline.wire.schema import GapRecord, pack
from tests.pipeline.wire.samples import make_status


@pytest.mark.parametrize("session", [0, 1, 2**64 - 1])
def test_headers(session: int) -> None:
    header = Header(type="gap", kind="tracks", session=session, number=1, gap_before=0, publish_time_ns=0)
    assert decode_header(encode_header(header)) == header
    assert header.schema == "1.0"


def test_gaps() -> None:
    gap = Gap("door", 3, 7, 7, "decode_error")
    assert decode_gap(encode_gap(gap)) == gap


def test_a_gap_that_ends_before_it_starts_is_refused() -> None:
    record = GapRecord(source_id="door", epoch=1, first_seq=5, last_seq=4, reason="late")
    with pytest.raises(WireError, match="last_seq 4 lies before first_seq 5"):
        decode_gap(pack(record))


@pytest.mark.parametrize(
    "status",
    [
        SourceStatus("door", "CONNECTING", 0),
        make_status(),
        replace(
            make_status(),
            latency=Latency(1.5, 2.5, 3.5),
            retry_in_seconds=0.25,
            expected_frames=300,
            frame_rate=29.97,
            codec="h264",
            damaged=3,
        ),
    ],
)
def test_statuses(status: SourceStatus) -> None:
    assert decode_status(encode_status(status)) == status


@pytest.mark.parametrize("kind", KINDS)
def test_topics(kind: str) -> None:
    assert topic_of("door-2", kind) == f"door-2/{kind}/".encode()  # type: ignore[arg-type]
    assert parse_topic(topic_of("door-2", kind)) == ("door-2", kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "topic",
    [
        b"",
        b"door",
        b"door/",
        b"door/all",
        b"door/all/x",
        b"door/audio/",
        b"a/b/all/",
        b"\xff/all/",
        b"x" * 80 + b"/all/",
    ],
)
def test_what_is_not_a_topic_is_refused(topic: bytes) -> None:
    with pytest.raises(WireError, match="topic"):
        parse_topic(topic)
