"""The contract of a link, and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Parts = Sequence[bytes]  # one message


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    """What one end of a link has seen."""

    sent: int = 0
    received: int = 0
    refused: int = 0  # messages not taken because the link was full


class Link(Protocol):
    """A bounded, ordered way for messages. One end of a real link only sends or only receives."""

    def send(self, parts: Parts) -> bool:
        """Hand a message on; False, counted as refused, where the link is full. Never blocks."""

    def receive(self) -> list[bytes] | None:
        """The next message, None where there is none. Never blocks."""

    @property
    def waitable(self) -> Any:
        """What a `zmq.Poller` can wait on; None for a link within a process."""

    def close(self, *, flush_seconds: float = 0.0) -> None:
        """Release what is held, giving what was sent up to so long to leave. Calling it twice does no harm."""

    def statistics(self) -> LinkStatistics:
        """Messages so far."""
