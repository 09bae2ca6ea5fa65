"""What ZeroMQ lost, from Redis: a hole in the numbers lies between two frames, and so between two ids of a stream."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline.client.decode import decode_message
from pipeline.errors import WireError
from pipeline.messages import FrameResult, Gap, Item
from pipeline.redis_connection import connected, told
from pipeline.wire import EntryId, Header, Limits, gap_id, parse_id, result_id
from pipeline.wire.streams import HEADER, PAYLOAD

if TYPE_CHECKING:
    import redis

AT_ONCE: Final = 16  # entries
PATIENCE_SECONDS: Final = 1.0  # for what is on its way to Redis still
POLL_SECONDS: Final = 0.02
PAUSE_SECONDS: Final = 5.0  # after Redis did not answer, or a stream did not come so far


@dataclass(frozen=True, slots=True)
class Seen:
    """A message that came."""

    header: Header
    id: EntryId


def seen(header: Header, item: Item) -> Seen | None:
    """Its place; None of a status."""
    if isinstance(item, FrameResult):
        return Seen(header, result_id(item.epoch, item.seq))
    return Seen(header, gap_id(item.epoch, item.last_seq)) if isinstance(item, Gap) else None


def is_hole(before: Seen | None, after: Seen | None) -> bool:
    """Whether messages are missing between two of a topic."""
    if before is None or after is None or before.header.session != after.header.session:
        return False
    return after.header.number - before.header.number > 1


class HoleFiller:
    """Fetches messages from the streams of a Redis server. For one thread."""

    def __init__(self, address: str, *, prefix: str, limits: Limits) -> None:
        """Connects when there is a hole. Raises `UsageError` for an address that cannot be read."""
        self._prefix, self._limits = prefix, limits
        self._client: redis.Redis = connected(
            address,
            connect_timeout_seconds=PATIENCE_SECONDS,
            timeout_seconds=PATIENCE_SECONDS,
            most_bytes=limits.message_bytes,
        )
        self.fault = ""  # why nothing can be fetched now
        self._address = address
        self._not_before: dict[bytes, float] = {}  # topics, and when they may be tried again

    def fetch(self, topic: bytes, before: Seen, after: Seen) -> Iterator[tuple[Header, Item]]:
        """The messages between two, in order, as far as they are to be had."""
        from redis.exceptions import RedisError

        if time.monotonic() < self._not_before.get(topic, 0.0):
            return
        stream = f"{self._prefix}{topic.decode().removesuffix('/')}"
        try:
            if not self._has_come(stream, after.id):
                self._not_before[topic] = time.monotonic() + PAUSE_SECONDS
            at: EntryId = before.id
            while entries := self._between(stream, at, after.id):
                for entry_id, fields in entries:
                    at = entry_id
                    found = self._read(topic, fields)
                    if found is not None and _is_between(found[0], before.header, after.header):
                        yield found
            self.fault = ""
        except (RedisError, OSError) as exc:
            self.fault = told(exc, self._address)
            self._not_before[topic] = time.monotonic() + PAUSE_SECONDS
            self._client.connection_pool.disconnect()

    def _has_come(self, stream: str, until: EntryId) -> bool:
        """Wait a little until the stream has come as far as ZeroMQ."""
        from redis.exceptions import ResponseError

        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                about: Any = self._client.xinfo_stream(stream)
            except ResponseError:  # there is no such stream
                return False
            if parse_id(about["last-generated-id"]) >= until:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)

    def _between(self, stream: str, after: EntryId, before: EntryId) -> list[tuple[EntryId, dict[bytes, bytes]]]:
        answer: Any = self._client.xrange(stream, min=f"({after}", max=f"({before}", count=AT_ONCE)
        return [(parse_id(at), fields) for at, fields in answer]

    def _read(self, topic: bytes, fields: dict[bytes, bytes]) -> tuple[Header, Item] | None:
        try:
            return decode_message((topic, fields.get(HEADER, b""), fields.get(PAYLOAD, b"")), limits=self._limits)
        except WireError:  # stays missed
            return None

    def close(self) -> None:
        """Disconnect."""
        self._client.close()


def _is_between(found: Header, before: Header, after: Header) -> bool:
    return found.session == before.session and before.number < found.number < after.number
