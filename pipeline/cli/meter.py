"""How fast frames come through now."""

from __future__ import annotations

from collections import deque
from typing import Final

from pipeline.messages import RunStatistics

WINDOW_SECONDS: Final = 3.0


class Meter:
    """Results a second of each source over the last seconds."""

    def __init__(self, window_seconds: float = WINDOW_SECONDS) -> None:
        self._window_seconds = window_seconds
        self._seen: deque[tuple[float, dict[str, int]]] = deque()

    def update(self, statistics: RunStatistics) -> None:
        """Take in the run at a later instant."""
        now = statistics.elapsed_seconds
        self._seen.append((now, {source.source_id: source.resulted for source in statistics.sources}))
        while len(self._seen) > 2 and self._seen[1][0] <= now - self._window_seconds:
            self._seen.popleft()

    def rate(self, source_id: str) -> float:
        """Results a second; 0 before two instants are known."""
        if len(self._seen) < 2:
            return 0.0
        (start, before), (end, after) = self._seen[0], self._seen[-1]
        return (after.get(source_id, 0) - before.get(source_id, 0)) / (end - start) if end > start else 0.0
