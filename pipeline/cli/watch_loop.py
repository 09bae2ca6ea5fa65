"""Receiving and printing, until there is enough."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

import msgspec

from pipeline.cli.complain import complain
from pipeline.cli.watch_table import HEAD, table_line
from pipeline.client import Subscriber, SubscriberStatistics
from pipeline.errors import WireError
from pipeline.messages import Item
from pipeline.wire import item_to_json

PATIENCE_SECONDS: Final = 5.0  # without a message before the reader is told what may be wrong

Format = Literal["table", "json"]
LINES: Final[dict[Format, Callable[[Item], str]]] = {
    "table": table_line,
    "json": lambda item: msgspec.json.encode(item_to_json(item, timings=True)).decode(),
}


def watch_until_done(
    address: str, topics: Sequence[str], *, output_format: Format, count: int | None, timeout_seconds: float | None
) -> int:
    """Print until `count` messages came, nothing came for `timeout_seconds`, or Ctrl-C or SIGTERM; the exit code.

    It is 1 where a count was asked for and not reached. Raises `UsageError`.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    printed = 0
    with Subscriber(address, topics) as subscriber:
        try:
            if output_format == "table":
                print(HEAD, flush=True)
            for item in _received(subscriber, timeout_seconds, f"{' '.join(topics)} at {address}"):
                print(LINES[output_format](item), flush=True)
                printed += 1
                if printed == count:
                    break
        except KeyboardInterrupt:
            count = printed  # to stop when told to is no failure
        statistics = subscriber.statistics()
    print(summary(statistics), file=sys.stderr)
    return 0 if count is None or printed == count else 1


def _received(subscriber: Subscriber, timeout_seconds: float | None, asked_for: str) -> Iterator[Item]:
    """Items as they come; a long silence at the start is told of."""
    patience = min(timeout_seconds or PATIENCE_SECONDS, PATIENCE_SECONDS)
    item = _readable(subscriber, patience)
    if item is None and patience != timeout_seconds:
        complain(f"everyframe: nothing yet of {asked_for}; is 'everyframe run' publishing there, by that name?")
        item = _readable(subscriber, None if timeout_seconds is None else timeout_seconds - patience)
    while item is not None:
        yield item
        item = _readable(subscriber, timeout_seconds)


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
    if statistics.gap_frames:
        told += f"; the publisher declared {statistics.gap_frames} frames lost"
    if statistics.malformed:
        told += f"; {statistics.malformed} could not be read"
    if statistics.missed:
        told += " (messages are dropped where a reader is too slow: watch fewer topics or a smaller kind)"
    return told
