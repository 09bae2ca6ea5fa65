"""What is subscribed at a publishing socket, and so which kinds of a result are worth coding."""

from __future__ import annotations

from pipeline.wire import ASKED_KINDS, KINDS, Kind, asked_prefix, topic_of
from pipeline.wire.topics import LONGEST_TOPIC

MOST_TOPICS = 10_000  # remembered
SUBSCRIBE, UNSUBSCRIBE = 1, 0  # first byte of what an XPUB socket receives


class Subscriptions:
    """The prefixes subscribed. A topic is wanted if any of them is its beginning, as ZeroMQ has it."""

    def __init__(self) -> None:
        self._prefixes: set[bytes] = set()
        # By source and by topic; emptied when a subscription changes.
        self._wanted: dict[str, frozenset[Kind]] = {}
        self._matching: dict[bytes, bool] = {}

    def __len__(self) -> int:
        return len(self._prefixes)

    def apply(self, message: bytes) -> bytes | None:
        """Take what an XPUB socket received; the prefix, if it is a subscription that could ever match a topic."""
        if not message or message[0] not in (SUBSCRIBE, UNSUBSCRIBE) or len(message) > LONGEST_TOPIC + 1:
            return None
        prefix = message[1:]
        if message[0] == UNSUBSCRIBE:
            self._prefixes.discard(prefix)
        else:
            self._prefixes.add(prefix)
        self._wanted.clear()
        self._matching.clear()
        return prefix if message[0] == SUBSCRIBE else None

    def wanted(self, source_id: str) -> frozenset[Kind]:
        """The kinds of one source that somebody gets."""
        if not self._prefixes:
            return frozenset()
        found = self._wanted.get(source_id)
        if found is None:
            found = frozenset(kind for kind in KINDS if self.matches(topic_of(source_id, kind)))
            found |= frozenset(kind for kind in ASKED_KINDS if self._asks(source_id, kind))
            self._wanted[source_id] = found
        return found

    def matches(self, topic: bytes) -> bool:
        """Whether somebody gets messages of this topic."""
        found = self._matching.get(topic)
        if found is None:
            found = any(topic.startswith(prefix) for prefix in self._prefixes)
            if len(self._matching) >= MOST_TOPICS:  # of sources that have come and gone
                self._matching.clear()
            self._matching[topic] = found
        return found

    def _asks(self, source_id: str, kind: Kind) -> bool:
        """Whether somebody named this kind, or all that are sent only where they are named."""
        topic, least = topic_of(source_id, kind), asked_prefix(source_id)
        return any(topic.startswith(prefix) and prefix.startswith(least) for prefix in self._prefixes)
