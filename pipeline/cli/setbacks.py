"""What went wrong and was outlived, for people: a line each, and what repeats only now and then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.events import Event, Level
from pipeline.logs import Repeats


class Setbacks:
    """Picks out of events those that matter, and words them."""

    def __init__(self) -> None:
        self._repeats = Repeats()

    def told(self, events: Iterable[Event]) -> Iterator[str]:
        """What is to be said now."""
        yield from map(_words, self._repeats.passed(event for event in events if event.level >= Level.WARNING))

    def rest(self) -> Iterator[str]:
        """What was held back, at the end."""
        yield from map(_words, self._repeats.rest())


def _words(event: Event) -> str:
    held_back = int(event.details.get("held_back", 1))
    return event.message if held_back == 1 else f"{event.message} (and {held_back - 1} more like it)"
