"""Messages from Redis Streams; reconnects by itself."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from pipeline.client.redis_streams import Entry, Streams
from pipeline.client.statistics import GroupStatistics
from pipeline.errors import UsageError
from pipeline.redis_connection import Gate, connected, is_refusal, told
from pipeline.wire import Limits, topic_of_stream
from pipeline.wire.streams import HEADER, PAYLOAD

if TYPE_CHECKING:
    import redis

CONNECT_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 10.0
WAIT_SECONDS: Final = 0.5  # at most, before new streams are looked for
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 2.0


class Reading(Protocol):
    """How streams are read: alone (`Cursors`), or as one of a group (`Group`). All raise what the client raises."""

    @property
    def counts_holes(self) -> bool:
        """Whether all entries come here, so that a hole in the numbers is one."""

    @property
    def missed(self) -> dict[str, int]:
        """Frames known to be trimmed away before they were read, by stream."""

    def statistics(self) -> GroupStatistics | None:
        """How the group does, where there is one."""

    def begin(self, client: redis.Redis, streams: Iterable[str], *, came_later: bool) -> None:
        """Set out on streams; `came_later`: they were not there when this reader began."""

    def read(self, client: redis.Redis, wait_ms: int) -> list[Entry]:
        """The next entries, or none within that time."""

    def handled(self, client: redis.Redis, entry: Entry) -> None:
        """The entry needs not come again."""

    def refuse(self, client: redis.Redis, entry: Entry) -> None:
        """The entry cannot be read."""

    def leave(self, client: redis.Redis) -> None:
        """No more will be read."""


class RedisTransport:
    """See `Transport`."""

    refused = 0  # keys are ZeroMQ's
    fault = ""

    def __init__(self, address: str, streams: Streams, reading: Reading, *, prefix: str, limits: Limits) -> None:
        """Connects when it is first read. Raises `UsageError` for an address that cannot be read."""
        self._address, self._prefix = address, prefix
        self._streams, self._reading = streams, reading
        self._gate = Gate()
        self._client = connected(
            address,
            connect_timeout_seconds=CONNECT_SECONDS,
            timeout_seconds=ANSWER_SECONDS,
            gate=self._gate,
            most_bytes=limits.message_bytes,
        )
        self._buffer: deque[Entry] = deque()
        self._given: Entry | None = None  # to whoever reads; handled when the next is asked for
        self._begun: set[str] = set()  # streams, on this connection
        self._has_looked = self._has_lost_group = False
        self._pause = FIRST_PAUSE_SECONDS
        self._interrupted = threading.Event()

    @property
    def counts_holes(self) -> bool:
        """See `Transport`."""
        return self._reading.counts_holes

    def missed(self) -> dict[str, int]:
        """See `Transport`."""
        lost: Counter[str] = Counter()
        for stream, count in list(self._reading.missed.items()):
            lost[topic_of_stream(self._prefix, stream.encode()).decode().removesuffix("/")] += count
        return +lost

    def group(self) -> GroupStatistics | None:
        """See `Transport`."""
        return self._reading.statistics()

    def receive(self, deadline: float | None) -> list[bytes] | None:
        """See `Transport`. Raises `UsageError` where Redis refuses us, or its certificate is not believed."""
        from redis.exceptions import RedisError

        is_last = False
        while not self._interrupted.is_set():
            left = WAIT_SECONDS if deadline is None else deadline - time.monotonic()
            try:
                entry = self._next(min(max(left, 0.0), WAIT_SECONDS))
                self._pause, self.fault = FIRST_PAUSE_SECONDS, ""
            except (RedisError, OSError) as exc:
                if is_refusal(exc):
                    raise UsageError(told(exc, self._address)) from exc
                self._lose(exc)
                entry = None
            except ValueError:
                if not self._interrupted.is_set():  # else `interrupt` has closed what was being read from
                    raise
                entry = None
            if entry is not None:
                self._given = entry
                return [
                    topic_of_stream(self._prefix, entry.stream.encode()),
                    entry.fields.get(HEADER, b""),
                    entry.fields.get(PAYLOAD, b""),
                ]
            if is_last:
                return None
            is_last = deadline is not None and time.monotonic() >= deadline
        return None

    def _next(self, wait_seconds: float) -> Entry | None:
        if self._gate.is_open:
            self._client.ping()
            self._gate.is_open = False
        if self._given is not None:
            self._reading.handled(self._client, self._given)
            self._given = None
        if not self._buffer:
            self._begin()
            if not self._streams.known:
                self._interrupted.wait(wait_seconds)
                return None
            self._buffer.extend(self._reading.read(self._client, int(wait_seconds * 1_000)))
        return self._buffer.popleft() if self._buffer else None

    def _begin(self) -> None:
        """Set out on streams that are new here, and all of them after the connection was lost."""
        if self._streams.is_due():
            found = self._streams.look(self._client)
            self._reading.begin(self._client, found, came_later=self._has_looked)
            self._begun |= found
            self._has_looked = True
        rest = self._streams.known - self._begun
        if rest:
            self._reading.begin(self._client, rest, came_later=self._has_lost_group)
            self._begun |= rest
            self._has_lost_group = False

    def _lose(self, error: Exception) -> None:
        """The connection is gone, or a stream with its group is; what was not read comes again."""
        self._begun.clear()
        self._has_lost_group |= "NOGROUP" in str(error)  # the stream was deleted: what is there by now is new
        if not self._interrupted.is_set() and not self._has_lost_group:
            self.fault = told(error, self._address)
            self._client.connection_pool.disconnect()
            self._gate.is_open = True
            self._interrupted.wait(self._pause)
            self._pause = min(LONGEST_PAUSE_SECONDS, 2 * self._pause)

    def heard(self, topic: bytes, source_id: str) -> bool:
        """See `Transport`: everything was asked for."""
        return True

    def refuse(self) -> None:
        """See `Transport`."""
        from redis.exceptions import RedisError

        entry, self._given = self._given, None
        if entry is not None:
            with suppress(RedisError, OSError):  # it comes again, as others do that were not acknowledged
                self._reading.refuse(self._client, entry)

    def interrupt(self) -> None:
        """See `Transport`."""
        self._interrupted.set()
        self._client.connection_pool.disconnect()

    def close(self) -> None:
        """See `Transport`."""
        from redis.exceptions import RedisError

        self._gate.is_open = True
        if self._begun:
            with suppress(RedisError, OSError):  # a name that stays in a group does no harm
                self._reading.leave(self._client)
        self._client.close()
