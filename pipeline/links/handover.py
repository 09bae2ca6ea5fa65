"""A link between two threads of a process: the receiving one is woken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from pipeline.links.link import LinkStatistics, Parts


class Handover:
    """Both ends of a link. What one thread sends, another receives; `wake` is called after each."""

    def __init__(self, *, capacity: int, wake: Callable[[], None]) -> None:
        self._capacity, self._wake = capacity, wake
        self._messages: deque[list[bytes]] = deque()
        self._sent = self._received = self._refused = 0

    def send(self, parts: Parts) -> bool:
        """Hand a message on; False where the link is full."""
        if len(self._messages) >= self._capacity:
            self._refused += 1
            return False
        self._messages.append(list(parts))
        self._sent += 1
        self._wake()
        return True

    def receive(self) -> list[bytes] | None:
        """The next message, None where there is none."""
        try:
            parts = self._messages.popleft()
        except IndexError:
            return None
        self._received += 1
        return parts

    @property
    def waitable(self) -> None:
        """Nothing to wait on: the receiver is woken."""

    def close(self, *, flush_seconds: float = 0.0) -> None:
        """Nothing is held but memory; what was sent can still be received."""

    def statistics(self) -> LinkStatistics:
        """Messages so far."""
        return LinkStatistics(self._sent, self._received, self._refused)
