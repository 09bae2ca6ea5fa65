"""What happened in a run, for its log: typed, bounded, and safe to read from another thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

MOST_EVENTS = 1_000  # kept for a reader that looks now and then


class Level(IntEnum):
    """How much an event matters."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `message` is for people, and holds no secret; `details` are for programs."""

    name: str  # what happened, in snake_case: source_state, worker_ended, ...
    message: str
    level: Level = Level.INFO
    source_id: str = ""
    details: Mapping[str, str | int | float] = field(default_factory=dict)
    time_ns: int = field(default_factory=time.time_ns)  # wall clock


class EventLog:
    """The latest events. A reader asks for those since it last looked, and is told of what it came too late for."""

    def __init__(self, *, most: int = MOST_EVENTS) -> None:
        self._events: deque[Event] = deque(maxlen=most)
        self._added = 0
        self._lock = threading.Lock()

    def add(self, event: Event) -> None:
        """Keep an event; the oldest makes room."""
        with self._lock:
            self._events.append(event)
            self._added += 1

    def since(self, seen: int) -> tuple[list[Event], int]:
        """The events after the first `seen` of the run, and what to say as `seen` the next time."""
        with self._lock:
            events, added = list(self._events), self._added
        lost = max(0, added - len(events) - seen)
        new = events[max(0, len(events) - (added - seen)) :] if added > seen else []
        return ([_missed(lost)] if lost else []) + new, added


class EventReader:
    """Reads each event once."""

    def __init__(self, since: Callable[[int], tuple[Sequence[Event], int]]) -> None:
        """`since` as `EventLog.since`."""
        self._since = since
        self._seen = 0

    def new(self) -> Sequence[Event]:
        """Those since the last time."""
        events, self._seen = self._since(self._seen)
        return events


def _missed(count: int) -> Event:
    return Event(
        "events_missed", f"{count} events came faster than they were read", Level.WARNING, details={"count": count}
    )
