"""Receiving and printing, until there is enough."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Literal, Protocol

import msgspec

from pipeline.address import redact
from pipeline.cli.complain import complain
from pipeline.cli.watch_table import HEAD, table_line
from pipeline.cli.watch_topics import default_topics
from pipeline.client import Subscriber, SubscriberStatistics
from pipeline.errors import WireError
from pipeline.messages import FrameResult, Item, ZoneEvent
from pipeline.redis_address import DEFAULT_PREFIX
from pipeline.wire import item_to_json

PATIENCE_SECONDS: Final = 5.0  # without a message before the reader is told what may be wrong

Format = Literal["auto", "live", "table", "json"]
LINES: Final[dict[Format, Callable[[Item], str]]] = {
    "table": table_line,
    "json": lambda item: msgspec.json.encode(item_to_json(item, timings=True)).decode(),
}


class Display(Protocol):
    """Where items are shown."""

    def show(self, item: Item) -> None:
        """Show one."""


class Printer:
    """A line an item."""

    def __init__(self, output_format: Format) -> None:
        self._line = LINES[output_format]
        if output_format == "table":
            print(HEAD, flush=True)

    def show(self, item: Item) -> None:
        """Print it."""
        print(self._line(item), flush=True)


@contextmanager
def display(output_format: Format, subscriber: Subscriber) -> Iterator[Display]:
    """The one that was asked for."""
    if output_format != "live":
        yield Printer(output_format)
        return
    from pipeline.cli.watch_live import LiveWatch

    with LiveWatch(subscriber.statistics) as live:
        yield live


def watch_until_done(
    address: str,
    topics: Sequence[str] | None,
    *,
    output_format: Format,
    count: int | None,
    timeout_seconds: float | None,
    server_key: str | None = None,
    key: str | None = None,
    start: str | None = None,
    redis: str | None = None,
    prefix: str = DEFAULT_PREFIX,
    labels: Sequence[str] | None = None,
) -> int:
    """Print until `count` messages came, nothing came for `timeout_seconds`, or Ctrl-C or SIGTERM; the exit code.

    `auto` is a live table on a terminal, and lines elsewhere and for events. The code is 1 where a count was asked for
    and not reached. Raises `UsageError`.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if output_format == "auto":
        events_alone = bool(topics) and all(topic.rstrip("/").endswith("/events") for topic in topics or ())
        output_format = "live" if sys.stdout.isatty() and not events_alone else "table"
    topics = topics or default_topics(is_live=output_format == "live", count=count)
    printed = 0
    with Subscriber(
        address, topics, server_key=server_key, key=key, labels=labels, start=start, prefix=prefix, redis=redis
    ) as subscriber:
        try:
            with display(output_format, subscriber) as shown:
                asked_for = f"{' '.join(topics)} at {redact(address)}"
                for item in _received(subscriber, timeout_seconds, asked_for, has_keys=key is not None):
                    if labels is not None and _shows_nothing(item, labels):
                        continue
                    shown.show(item)
                    printed += 1
                    if printed == count:
                        break
        except KeyboardInterrupt:
            count = printed  # to stop when told to is no failure
        statistics = subscriber.statistics()
    print(summary(statistics), file=sys.stderr)
    return 0 if count is None or printed == count else 1


def _received(
    subscriber: Subscriber, timeout_seconds: float | None, asked_for: str, *, has_keys: bool
) -> Iterator[Item]:
    """Items as they come; a long silence at the start is told of."""
    patience = min(timeout_seconds or PATIENCE_SECONDS, PATIENCE_SECONDS)
    item = _readable(subscriber, patience)
    if item is None and patience != timeout_seconds:
        complain(f"everyframe: nothing yet of {asked_for}; {_why(subscriber.statistics(), has_keys=has_keys)}")
        item = _readable(subscriber, None if timeout_seconds is None else timeout_seconds - patience)
    while item is not None:
        yield item
        item = _readable(subscriber, timeout_seconds)


def _shows_nothing(item: Item, labels: Sequence[str]) -> bool:
    """Whether an item has nothing of the classes that were asked for; gaps and statuses are always shown."""
    if isinstance(item, ZoneEvent):
        return item.class_name is not None and item.class_name not in labels
    if not isinstance(item, FrameResult):
        return False
    masks = item.polygons or item.panoptic
    return not (len(item.detections) or len(item.tracks) or (masks is not None and len(masks.segments)))


def _why(statistics: SubscriberStatistics, *, has_keys: bool) -> str:
    """What may be wrong where nothing comes."""
    if statistics.refused:
        return "the publisher does not let in this key: it must stand in the file of publish.clients there"
    if statistics.fault:
        return f"{statistics.fault}; it is tried again"
    keys = " If it lets in known keys only, --server-key and --key are needed."
    if has_keys:
        keys = " If it is, --server-key may be the key of another."
    return f"is 'everyframe run' publishing there, by that name?{keys}"


def _readable(subscriber: Subscriber, timeout_seconds: float | None) -> Item | None:
    """The next item that can be read; those that cannot are told of and passed over."""
    while True:
        try:
            return subscriber.receive(timeout_seconds=timeout_seconds)
        except WireError as exc:
            complain(f"everyframe: passed over: {exc}")


def summary(statistics: SubscriberStatistics) -> str:
    """How much came and how much did not, in a line."""
    told = f"received {statistics.received}, missed {statistics.missed}"
    if statistics.fetched:
        told += f" ({statistics.fetched} of them came from Redis)"
    if statistics.gap_frames:
        told += f"; the publisher declared {statistics.gap_frames} frames lost"
    if statistics.malformed:
        told += f"; {statistics.malformed} could not be read"
    if statistics.refused:
        told += f"; our key was refused {statistics.refused} times"
    if statistics.fault:
        told += f"; at the end {statistics.fault}"
    if statistics.missed:
        told += " (messages are dropped where a reader is too slow: watch fewer topics or a smaller kind)"
    return told
