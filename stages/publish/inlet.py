"""A bounded queue from the publisher, which waits for nothing, to the thread that writes to Redis."""

from __future__ import annotations

import threading
from collections import Counter, deque

from stages.publish.record import Record


class Inlet:
    """What comes beyond the bound is lost and counted; that an epoch is over always finds room."""

    def __init__(self, *, most_bytes: int, most_records: int) -> None:
        self._most_bytes, self._most_records = most_bytes, most_records
        self._waiting: deque[Record] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False
        self.lost: Counter[str] = Counter()  # by source
        self._in_hand = 0  # taken and not yet put anywhere

    @property
    def unsettled(self) -> int:
        """Records that wait or are in hand; never fewer than there are, whatever the other thread does meanwhile."""
        return len(self._waiting) + self._in_hand

    def put(self, record: Record) -> None:
        """Hand over; never waits for more than whoever takes at this instant."""
        with self._changed:
            is_full = len(self._waiting) >= self._most_records or self._bytes + record.size > self._most_bytes
            if is_full and (record.type != "over" or len(self._waiting) >= 2 * self._most_records):
                self.lost[record.source_id] += record.type != "over"
                return
            self._waiting.append(record)
            self._bytes += record.size
            self._changed.notify()

    def take(self, most: int, *, wait_seconds: float) -> list[Record]:
        """Up to `most` of what waits, in hand until `settle`; none after `wait_seconds`, or when it was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed, wait_seconds)
            self._in_hand = min(most, len(self._waiting))  # first: whoever looks sees them twice rather than not at all
            taken = [self._waiting.popleft() for _ in range(self._in_hand)]
            self._bytes -= sum(record.size for record in taken)
            return taken

    def settle(self) -> None:
        """What was taken is stored, lost or waits elsewhere."""
        self._in_hand = 0

    def close(self) -> None:
        """Wake whoever takes: nothing more will come."""
        with self._changed:
            self._closed = True
            self._changed.notify()
