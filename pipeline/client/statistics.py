"""What a subscriber has got so far."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.client.missed import TopicCount


@dataclass(frozen=True, slots=True)
class GroupStatistics:
    """What became of entries of Redis Streams that are read as one of a group."""

    claimed: int  # entries taken over from consumers that held them for too long
    dead: int  # entries put aside, into ``<stream>/dead``
    lag: dict[str, int]  # entries still to be handled by the whole group, by stream
    alarms: int  # times that trimming was about to take what was not handled


@dataclass(frozen=True, slots=True)
class SubscriberStatistics:
    """What arrived and what did not, by topic."""

    topics: dict[str, TopicCount]
    malformed: int  # messages that raised `WireError`
    fetched: int = 0  # messages that ZeroMQ had lost, and Redis had
    group: GroupStatistics | None = None  # of a reader that is one of a group
    refused: int = 0  # times the publisher did not let in our key; it is tried again
    fault: str = ""  # why Redis cannot be read now; it is tried again

    @property
    def received(self) -> int:
        """Messages that arrived."""
        return sum(count.received for count in self.topics.values())

    @property
    def missed(self) -> int:
        """Messages that were sent and did not arrive."""
        return sum(count.missed for count in self.topics.values())

    @property
    def gap_frames(self) -> int:
        """Frames that the publisher declared lost; once for each topic that told of them."""
        return sum(count.gap_frames for count in self.topics.values())
