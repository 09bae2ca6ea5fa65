"""The log as programs read it: a JSON object a line, and what repeats only now and then."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, TextIO

from pipeline.events import Event, Level

MOST_CHARACTERS: Final = 8_000  # of a message: journald cuts a line at 48 KiB
BURST: Final = 10  # events of one name about one source in a window; then the window's last, with the count
WINDOW_SECONDS: Final = 60.0
MOST_KEYS: Final = 4_096
MESSAGES: Final = ("note", "complaint")  # names that say nothing of what repeats: their messages do


class JsonLog:
    """Writes events from a level on. One that cannot be written (the reader has gone) ends no run."""

    def __init__(self, stream: TextIO, *, level: Level = Level.INFO, clean: Callable[[str], str] = str) -> None:
        """`clean` takes secrets out of a message, should one have got there."""
        self._stream, self._level, self._clean = stream, level, clean

    def write(self, event: Event) -> None:
        """Write an event, unless it matters too little."""
        if event.level < self._level:
            return
        with suppress(OSError, ValueError):  # the stream is closed
            self._stream.write(f"{line(replace(event, message=self._clean(event.message)))}\n")
            self._stream.flush()


def line(event: Event) -> str:
    """An event as JSON, in ASCII whatever the terminal's encoding; the common names cannot be taken by details."""
    values = dict(event.details) | {
        "time": rfc3339(event.time_ns),
        "level": event.level.name.lower(),
        "event": event.name,
        "message": event.message[:MOST_CHARACTERS],
    }
    if event.source_id:
        values["source_id"] = event.source_id
    first = ("time", "level", "event", "source_id", "message")
    return json.dumps({name: values[name] for name in (*first, *event.details) if name in values})


def rfc3339(time_ns: int) -> str:
    """A wall-clock time in UTC to the microsecond."""
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest_ns // 1000:06d}Z"


class Repeats:
    """Holds back what repeats: of one kind, `burst` events a window, and at its end the last of those held back.

    So the log of a camera that comes and goes stays small, and still ends with the state it is in.
    """

    def __init__(
        self,
        *,
        burst: int = BURST,
        window_seconds: float = WINDOW_SECONDS,
        now_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst, self._window_seconds, self._now = burst, window_seconds, now_seconds
        self._windows: dict[tuple[str, ...], Window] = {}

    def passed(self, events: Iterable[Event]) -> Iterator[Event]:
        """What is to be written now: of these events, and of those held back before."""
        now = self._now()
        for key in [key for key, window in self._windows.items() if now - window.began >= self._window_seconds]:
            yield from self._windows.pop(key).held_back()
        for event in events:
            key = (event.name, event.source_id, event.message if event.name in MESSAGES else "")
            window = self._windows.setdefault(key, Window(now))
            if window.admits(event, self._burst):
                yield event
            if len(self._windows) > MOST_KEYS:
                yield from self._windows.pop(next(iter(self._windows))).held_back()

    def rest(self) -> Iterator[Event]:
        """The last of everything held back, at the end of a run."""
        for window in self._windows.values():
            yield from window.held_back()
        self._windows.clear()


class Window:
    """Events of one kind since the first of them."""

    def __init__(self, began: float) -> None:
        self.began = began
        self._passed = self._held = 0
        self._last: Event | None = None

    def admits(self, event: Event, burst: int) -> bool:
        """Whether an event may pass; if not it is kept, as the last of its kind."""
        if self._passed < burst:
            self._passed += 1
            return True
        self._held, self._last = self._held + 1, event
        return False

    def held_back(self) -> Iterator[Event]:
        """The last event held back, with how many were."""
        if self._last is not None:
            yield replace(self._last, details={**self._last.details, "held_back": self._held})
