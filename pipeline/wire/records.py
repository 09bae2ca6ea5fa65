"""Headers, gaps and statuses as bytes and back."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from pipeline.errors import WireError
from pipeline.messages import Gap, GapReason, Latency, SourceStatus
from pipeline.wire.limits import DEFAULT_LIMITS, Limits, check_count
from pipeline.wire.schema import GapRecord, Header, StatusRecord, pack, unpack


def encode_header(header: Header) -> bytes:
    """The second part of a message."""
    return pack(header)


def decode_header(data: bytes | memoryview, *, limits: Limits = DEFAULT_LIMITS) -> Header:
    """The header. Raises `WireError`."""
    return unpack(data, Header, limits)


def encode_gap(gap: Gap) -> bytes:
    """The payload of a gap, the same for every kind."""
    return pack(gap_record(gap))


def decode_gap(data: bytes | memoryview, *, limits: Limits = DEFAULT_LIMITS) -> Gap:
    """The gap. Raises `WireError`."""
    return gap_of(unpack(data, GapRecord, limits))


def encode_status(status: SourceStatus) -> bytes:
    """The payload of a status."""
    return pack(status_record(status))


def decode_status(data: bytes | memoryview, *, limits: Limits = DEFAULT_LIMITS) -> SourceStatus:
    """The status. Raises `WireError`."""
    return status_of(unpack(data, StatusRecord, limits), limits)


def gap_record(gap: Gap) -> GapRecord:
    """The record of a gap."""
    return GapRecord(
        source_id=gap.source_id, epoch=gap.epoch, first_seq=gap.first_seq, last_seq=gap.last_seq, reason=gap.reason
    )


def gap_of(record: GapRecord) -> Gap:
    """The gap a record tells of. Raises `WireError` if it ends before it starts."""
    if record.last_seq < record.first_seq:
        raise WireError(f"gap: last_seq {record.last_seq} lies before first_seq {record.first_seq}")
    return Gap(record.source_id, record.epoch, record.first_seq, record.last_seq, cast(GapReason, record.reason))


def status_record(status: SourceStatus) -> StatusRecord:
    """The record of a status: the same fields."""
    return msgspec.convert(status, StatusRecord, from_attributes=True)


def status_of(record: StatusRecord, limits: Limits) -> SourceStatus:
    """The status a record tells. Raises `WireError`."""
    check_count("status.dropped", len(record.dropped), limits.words)
    fields: dict[str, Any] = msgspec.structs.asdict(record)
    del fields["schema"]
    latency = record.latency
    fields["latency"] = None if latency is None else Latency(latency.p50_ms, latency.p95_ms, latency.p99_ms)
    return SourceStatus(**fields)
