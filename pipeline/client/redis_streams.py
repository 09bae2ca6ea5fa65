"""Which streams a reader follows: those it names, and those that are found."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.client.topics import Request
from pipeline.errors import UsageError, WireError
from pipeline.wire import KINDS, EntryId, parse_id, stream_of, topic_of_stream

if TYPE_CHECKING:
    import redis

LOOK_SECONDS: Final = 2.0  # between two looks for streams that have come
MOST_STREAMS: Final = 10_000  # that '*' follows


class Entry(NamedTuple):
    """One entry as it was read."""

    stream: str
    id: EntryId
    fields: dict[bytes, bytes]


class Streams:
    """The streams that requests mean."""

    def __init__(self, requests: Sequence[Request], prefix: str) -> None:
        """Raises `UsageError` for a kind that Redis never holds."""
        self._prefix = prefix
        self._patterns: list[str] = []
        self.known: set[str] = set()
        for request in requests:
            if request.kind is not None and request.kind not in KINDS:
                raise UsageError(f"kind {request.kind!r} is not kept in Redis; {', '.join(KINDS)} may be")
            if request.source_id is not None and request.kind is not None:
                self.known.add(stream_of(prefix, request.source_id, request.kind))
            else:
                pattern = f"{request.source_id or '*'}/{request.kind or '*'}"
                self._patterns.append(_literal(prefix) + pattern)
        self._look_at = 0.0

    def is_due(self) -> bool:
        """Whether to look again."""
        return bool(self._patterns) and time.monotonic() >= self._look_at

    def look(self, client: redis.Redis) -> set[str]:
        """Streams found now that were not known. Raises what the client raises; `WireError` for far too many."""
        found: set[str] = set()
        for pattern in self._patterns:
            for key in client.scan_iter(match=pattern, count=1_000, _type="stream"):
                try:
                    topic_of_stream(self._prefix, key)
                except WireError:  # entries given up, or somebody else's
                    continue
                found.add(key.decode())
                if len(found | self.known) > MOST_STREAMS:
                    raise WireError(f"more than {MOST_STREAMS} streams match; name sources instead of '*'")
        new = found - self.known
        self.known |= new
        self._look_at = time.monotonic() + LOOK_SECONDS
        return new


def entries_of(answer: Any) -> list[Entry]:
    """What XREAD and XREADGROUP answered. Entries that were trimmed away have no fields."""
    return [
        Entry(stream.decode(), parse_id(at), fields or {}) for stream, entries in answer or [] for at, fields in entries
    ]


def _literal(text: str) -> str:
    """A pattern that means the text itself."""
    return "".join(f"\\{character}" if character in "*?[]^\\" else character for character in text)
