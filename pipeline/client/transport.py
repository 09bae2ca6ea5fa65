"""`Transport`: where the messages of a subscriber come from, as `ZeroMQTransport` is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pipeline.client.statistics import GroupStatistics


class Transport(Protocol):
    """Brings messages as they are on the wire.

    Used by one thread at a time, except for `interrupt`, `refused` and `fault`.
    """

    @property
    def refused(self) -> int:
        """Times so far that we were not let in."""

    @property
    def fault(self) -> str:
        """Why nothing can be read now, as far as that is known; empty where it is not, or can."""

    @property
    def counts_holes(self) -> bool:
        """Whether every message comes here, so that a hole in the numbers is what was missed."""

    def missed(self) -> dict[str, int]:
        """What is known to be missed besides such holes, by topic."""

    def group(self) -> GroupStatistics | None:
        """How the group does that this reads for."""

    def receive(self, deadline: float | None) -> Sequence[bytes] | None:
        """The parts of the next message: topic, header, payload.

        None at the `deadline` (of `time.monotonic`), and for ever once interrupted. What came before counts as handled.
        """

    def heard(self, topic: bytes, source_id: str) -> bool:
        """Take note of a message that could be read; whether it was asked for, or only tells that there is a source.

        Raises `WireError` where so many sources are announced that something must be wrong.
        """

    def refuse(self) -> None:
        """Take note that the message that came last cannot be read."""

    def interrupt(self) -> None:
        """End a `receive`, in whichever thread it waits."""

    def close(self) -> None:
        """Disconnect; called once, after `interrupt`, when nobody is in `receive`."""
