"""Reading streams alone: from now on, from the beginning, or from an id."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from pipeline.client.redis_streams import Entry, entries_of
from pipeline.wire import EntryId, parse_id
from pipeline.wire.streams import NOTHING

if TYPE_CHECKING:
    import redis

NOW: Final = "now"
BEGINNING: Final = "beginning"
AT_ONCE: Final = 16  # entries: each may be of megabytes


class Cursors:
    """How far each stream was read. Nothing of it is kept in Redis."""

    counts_holes = True  # every entry comes here, so that a hole in the numbers is one

    def __init__(self, start: str) -> None:
        """`start`: now, beginning or an id. Raises `WireError`."""
        self._start = start if start in (NOW, BEGINNING) else str(parse_id(start))
        self._at: dict[str, EntryId] = {}
        self.missed: dict[str, int] = {}

    def statistics(self) -> None:
        """There is no group."""

    def begin(self, client: redis.Redis, streams: Iterable[str], *, came_later: bool) -> None:
        """Set out on streams; on those that came later, from their beginning."""
        for stream in streams:
            last = last_id(client, stream)
            if stream not in self._at:
                self._at[stream] = NOTHING if came_later or self._start == BEGINNING else self._from(last)
            elif last < self._at[stream]:
                self._at[stream] = NOTHING  # it was deleted, and is another one now

    def _from(self, last: EntryId) -> EntryId:
        if self._start == NOW:
            return last
        first = parse_id(self._start)
        return EntryId(first.epoch, max(0, first.place - 1))  # XREAD gives what lies behind

    def read(self, client: redis.Redis, wait_ms: int) -> list[Entry]:
        """The next entries, or none within that time."""
        cursors: dict[Any, Any] = {stream: str(at) for stream, at in self._at.items()}
        entries = entries_of(client.xread(cursors, count=AT_ONCE, block=wait_ms or None))
        for entry in entries:
            self._at[entry.stream] = entry.id
        return entries

    def handled(self, client: redis.Redis, entry: Entry) -> None:
        """Nothing is to be told."""

    def refuse(self, client: redis.Redis, entry: Entry) -> None:
        """Nor is there anything to be put aside."""

    def leave(self, client: redis.Redis) -> None:
        """Nor anything to be given back."""


def last_id(client: redis.Redis, stream: str) -> EntryId:
    """The newest id a stream has given out; nothing where there is no such stream."""
    from redis.exceptions import ResponseError

    try:
        about: Any = client.xinfo_stream(stream)
    except ResponseError as exc:
        if "no such key" not in str(exc):
            raise
        return NOTHING
    return parse_id(about["last-generated-id"])
