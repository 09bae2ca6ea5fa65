"""A link within a process: the fake for tests, with the same bounds as a real one."""

from __future__ import annotations

from collections import deque

from pipeline.links.link import LinkStatistics, Parts


class MemoryLink:
    """Both ends of a link in one object."""

    def __init__(self, *, capacity: int) -> None:
        self._capacity = capacity
        self._messages: deque[list[bytes]] = deque()
        self._sent = self._received = self._refused = 0
        self._closed = False

    def send(self, parts: Parts) -> bool:
        """Hand a message on; False where the link is full or closed."""
        if self._closed or len(self._messages) >= self._capacity:
            self._refused += 1
            return False
        self._messages.append(list(parts))
        self._sent += 1
        return True

    def receive(self) -> list[bytes] | None:
        """The next message, None where there is none."""
        if not self._messages:
            return None
        self._received += 1
        return self._messages.popleft()

    @property
    def waitable(self) -> None:
        """Nothing to wait on: whoever sends and receives is the same process."""

    def close(self, *, flush_seconds: float = 0.0) -> None:
        """Refuse further messages; those inside can still be received."""
        self._closed = True

    def statistics(self) -> LinkStatistics:
        """Messages so far."""
        return LinkStatistics(self._sent, self._received, self._refused)
