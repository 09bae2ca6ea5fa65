"""What became of the messages of a sink that delivers in its own time: counted by source, and complained of."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from pipeline.errors import SinkError
from pipeline.stage import Progress

MOST_COMPLAINTS: Final = 16  # kept until they are asked for


class Deliveries:
    """The ledger; any thread may tell it. Of losses it complains once, and again after something has arrived."""

    def __init__(self, address: str) -> None:
        """`address` as it may be shown."""
        self._address = address
        self._lock = threading.Lock()
        self._delivered: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._complaints: deque[SinkError] = deque(maxlen=MOST_COMPLAINTS)
        self._told_of_loss = False

    def arrived(self, source_id: str) -> None:
        """A message is known to have arrived."""
        with self._lock:
            self._delivered[source_id] += 1
            self._told_of_loss = False

    def lose(self, source_id: str, why: str) -> None:
        """A message is given up."""
        with self._lock:
            self._lost[source_id] += 1
            if not self._told_of_loss:
                self._told_of_loss = True
                self._complaints.append(SinkError(f"{self._address}: {why}"))

    def leave(self, source_ids: Sequence[str]) -> None:
        """Messages that had not arrived at the end are given up."""
        if not source_ids:
            return
        with self._lock:
            self._lost.update(source_ids)
        self.complain(f"{len(source_ids)} messages had not arrived when the run ended")

    def complain(self, text: str) -> None:
        """Something people should know of."""
        with self._lock:
            self._complaints.append(SinkError(f"{self._address}: {text}"))

    def complaints(self) -> list[SinkError]:
        """What went wrong since this was last asked."""
        with self._lock:
            told = list(self._complaints)
            self._complaints.clear()
        return told

    def progress(self, *, reachable: bool, waiting: int) -> Progress:
        """The counts so far; messages, not results."""
        with self._lock:
            return Progress(
                reachable=reachable,
                delivered=dict(self._delivered),
                lost=dict(self._lost),
                waiting=waiting,
                waiting_bytes=0,
            )
