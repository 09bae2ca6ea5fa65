"""Counting what did not arrive: every message is numbered within its topic and the publisher's session."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.wire import Header


@dataclass(slots=True)
class TopicCount:
    """What one topic brought so far."""

    received: int = 0  # messages
    missed: int = 0  # messages that were sent and did not arrive: holes in the numbers
    gaps: int = 0
    gap_frames: int = 0  # frames that the publisher declared lost
    sessions: int = 0  # publishers seen one after the other; what was lost in between cannot be counted
    session: int | None = None
    number: int = 0  # the last seen

    def see(self, header: Header, *, counts_holes: bool = True) -> None:
        """Count one message by its header; whether a hole in the numbers before it is what was missed."""
        if header.session != self.session:
            self.session = header.session
            self.sessions += 1
        elif counts_holes:
            self.missed += max(0, header.number - self.number - header.numbers)
        self.number = header.number
        self.received += 1
