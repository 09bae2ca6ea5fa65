"""How long a try may take and when to try again: a source's back-off, and how often a worker may be replaced.

Time and chance are arguments.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Self

from pipeline.config import SupervisorConfig
from pipeline.states import SourceState


def opening_seconds(open_timeout_seconds: float) -> float:
    """The time after which a worker that is still opening its source is ended: FFmpeg may spend its limit twice."""
    return 2 * open_timeout_seconds + 2


class Backoff:
    """Waits between connection attempts: doubling, capped, and spread by up to a fifth so that cameras do not align."""

    def __init__(
        self,
        *,
        first_seconds: float,
        most_seconds: float,
        refused_seconds: float,
        chance: Callable[[], float],
        failures: int = 0,
    ) -> None:
        """`refused_seconds` after credentials or a path were refused (retries lock accounts). `chance` gives 0..1.

        `failures`: how often in a row the source has failed before.
        """
        self._first, self._most, self._refused = first_seconds, most_seconds, refused_seconds
        self._chance = chance
        self.failures = failures  # in a row

    @classmethod
    def of(cls, settings: SupervisorConfig, *, failures: int = 0) -> Self:
        """As the settings have it."""
        return cls(
            first_seconds=settings.retry_first_seconds,
            most_seconds=settings.retry_max_seconds,
            refused_seconds=settings.auth_retry_seconds,
            chance=random.random,
            failures=failures,
        )

    def delay_seconds(self, state: SourceState) -> float:
        """How long to wait after one more failure that left the source in `state`."""
        self.failures += 1
        if state in {SourceState.UNAUTHORIZED, SourceState.NOT_FOUND, SourceState.UNSUPPORTED}:
            return max(self._refused, self._first)
        # Doubling stops long before the power grows out of a float.
        delay = min(self._most, self._first * 2 ** min(self.failures - 1, 32))
        return float(min(self._most, delay * (0.9 + 0.2 * self._chance())))

    def reset(self) -> None:
        """The source works again."""
        self.failures = 0


class RestartPolicy:
    """A worker is replaced at once, unless it ended `limit` times within `window_seconds`: then it waits."""

    def __init__(self, *, limit: int = 5, window_seconds: float = 60.0, pause_seconds: float = 30.0) -> None:
        self.limit, self.window_seconds, self._pause_seconds = limit, window_seconds, pause_seconds
        self._ends: deque[float] = deque(maxlen=limit)

    def delay_seconds(self, now_seconds: float) -> float:
        """How long to wait before the worker that just ended is replaced; 0 unless it does nothing but end."""
        self._ends.append(now_seconds)
        crash_loop = len(self._ends) == self.limit and now_seconds - self._ends[0] <= self.window_seconds
        return self._pause_seconds if crash_loop else 0.0
