"""Redis Streams: what they are called, and the id of every entry, which follows from what it tells.

A result of frame `seq` has the id ``<epoch>-<2 seq + 1>``; a gap up to `last_seq` has ``<epoch>-<2 last_seq + 2>``,
behind the result of its last frame and before that of the next. So ids grow with the frames, never are ``0-0``, and
the same item always has the same id: writing it again is refused by Redis, never stored twice.
"""

from __future__ import annotations

from typing import NamedTuple

from pipeline.errors import WireError
from pipeline.wire.topics import Kind, parse_topic

HEADER, PAYLOAD = b"header", b"payload"  # the fields of an entry: parts two and three of a message
DEAD = "/dead"  # after a stream's name: entries that no consumer could handle
LARGEST_PART = 2**64 - 1


class EntryId(NamedTuple):
    """Orders as Redis orders ids."""

    epoch: int  # of a status: wall clock, ms since 1970
    place: int

    @property
    def last_seq(self) -> int:
        """The newest frame that the entry tells of."""
        return (self.place - 1) // 2

    def __str__(self) -> str:
        return f"{self.epoch}-{self.place}"


NOTHING = EntryId(0, 0)  # before every entry


def result_id(epoch: int, seq: int) -> EntryId:
    """The place of a result."""
    return EntryId(epoch, 2 * seq + 1)


def gap_id(epoch: int, last_seq: int) -> EntryId:
    """The place of a gap."""
    return EntryId(epoch, 2 * last_seq + 2)


def parse_id(text: bytes | str) -> EntryId:
    """The id Redis gave, or a person wrote. Raises `WireError`."""
    written = text.decode("ascii", "replace") if isinstance(text, bytes) else text
    first, _, second = written.partition("-")
    parts = (first, second or "0")
    if not all(part.isascii() and part.isdecimal() and len(part) <= 20 for part in parts):
        raise WireError(f"{written[:50]!r} is not an id of a stream; EPOCH-PLACE is")
    parsed = EntryId(int(first), int(parts[1]))
    if max(parsed) > LARGEST_PART:
        raise WireError(f"{written[:50]!r} is not an id of a stream: both parts have 64 bits")
    return parsed


def stream_of(prefix: str, source_id: str, kind: Kind) -> str:
    """The stream's name: ``everyframe:door/tracks``."""
    return f"{prefix}{source_id}/{kind}"


def topic_of_stream(prefix: str, stream: bytes) -> bytes:
    """The topic whose messages a stream holds. Raises `WireError` for a stream of another kind."""
    head = prefix.encode()
    topic = stream.removeprefix(head) + b"/"
    if not stream.startswith(head):
        raise WireError(f"stream {stream[:80]!r} does not begin with {prefix!r}")
    source_id, _ = parse_topic(topic)
    if not source_id:
        raise WireError(f"stream {stream[:80]!r} names no source")
    return topic
