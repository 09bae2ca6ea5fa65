"""`Subscriber`: iterate over the results that a pipeline publishes."""

from __future__ import annotations

import math
import socket as sockets
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, cast

import zmq

from pipeline.client.connect_address import check_connect
from pipeline.client.decode import decode_message
from pipeline.client.missed import TopicCount
from pipeline.client.topics import DISCOVERY_TOPIC, Request, parse_request
from pipeline.errors import UsageError, WireError
from pipeline.messages import FrameResult, Gap, Item
from pipeline.wire import DEFAULT_LIMITS, Limits

HEARTBEAT_MS = 1_000
HEARTBEAT_TIMEOUT_MS = 3_000
RECONNECT_FIRST_MS = 100
RECONNECT_MAX_MS = 2_000
MOST_SOURCES = 10_000  # that "*" follows: a publisher that makes up names must not fill memory


@dataclass(frozen=True, slots=True)
class SubscriberStatistics:
    """What arrived and what did not, by topic."""

    topics: dict[str, TopicCount]
    malformed: int  # messages that raised `WireError`

    @property
    def received(self) -> int:
        """Messages that arrived."""
        return sum(count.received for count in self.topics.values())

    @property
    def missed(self) -> int:
        """Messages that were sent and did not arrive."""
        return sum(count.missed for count in self.topics.values())

    @property
    def gap_frames(self) -> int:
        """Frames that the publisher declared lost; once for each topic that told of them."""
        return sum(count.gap_frames for count in self.topics.values())


class Subscriber:
    """Results from a publisher's ZeroMQ socket, as they come; reconnects by itself.

    >>> with Subscriber("tcp://127.0.0.1:5560", topics=["door/all"]) as results:
    ...     for result in results:
    ...         print(result.seq, result.panoptic)

    Iterating gives `FrameResult`; `items` gives gaps and statuses too. It ends when nothing came for
    `timeout_seconds`, or when `close` was called, from whichever thread. What its kind leaves out of a result is empty.
    """

    def __init__(
        self,
        address: str = "tcp://127.0.0.1:5560",
        topics: str | Sequence[str] = ("*/all",),
        *,
        timeout_seconds: float | None = None,
        high_water_mark: int = 1_000,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Connect; the publisher need not be there yet.

        Args:
            address: ``tcp://HOST:PORT`` or ``ipc://PATH``.
            topics: ``SOURCE/KIND``, kind one of boxes, tracks, masks, all, status. ``SOURCE`` alone means its `all`,
                ``SOURCE/`` every kind of it; ``*`` in place of a source means every source, found by its status.
            timeout_seconds: without a message for so long, iterating ends. None: never.
            high_water_mark: messages kept here while nobody iterates; what comes beyond is missed, and counted.
            limits: what is accepted of one message.

        Raises:
            UsageError: an address or topic that cannot be read.
        """
        names = [topics] if isinstance(topics, str) else list(topics)
        if not names:
            raise UsageError("topics: none given; name at least one, such as 'door/tracks' or '*/all'")
        self._requests = tuple(parse_request(name) for name in names)
        checked = check_connect(address)
        self._timeout_seconds = timeout_seconds
        self._limits = limits
        self._counts: defaultdict[str, TopicCount] = defaultdict(TopicCount)
        self._malformed = 0
        self._followed: set[str] = set()  # sources that "*" has found
        self._lock = threading.Lock()  # a ZeroMQ socket is used by one thread at a time
        self._closed = threading.Event()
        self._context = zmq.Context()
        self._socket = _connected(self._context, checked, high_water_mark, limits)
        self._woken, self._waker = sockets.socketpair()
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._woken.fileno(), zmq.POLLIN)
        for prefix in _first_prefixes(self._requests):
            self._socket.subscribe(prefix)

    def __iter__(self) -> Iterator[FrameResult]:
        """Results as they come; `gap_before` tells of frames lost before one. Raises `WireError`, see `receive`."""
        return (item for item in self.items() if isinstance(item, FrameResult))

    def items(self) -> Iterator[Item]:
        """Results and gaps in order, and statuses where their topic was asked for. Raises `WireError`."""
        while (item := self.receive(timeout_seconds=self._timeout_seconds)) is not None:
            yield item

    def receive(self, *, timeout_seconds: float | None = None) -> Item | None:
        """The next item; None if nothing came in time, or after `close`.

        Raises:
            WireError: what came is not a message of a version read here. The next call goes on behind it.
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        with self._lock:
            while (parts := self._next_parts(deadline)) is not None:
                item = self._read(parts)
                if item is not None:
                    return item
        return None

    @property
    def missed(self) -> int:
        """Messages so far that were sent and did not arrive."""
        return self.statistics().missed

    @property
    def gap_frames(self) -> int:
        """Frames so far that the publisher declared lost."""
        return self.statistics().gap_frames

    def statistics(self) -> SubscriberStatistics:
        """Counts so far; whatever thread iterates."""
        topics = {topic: replace(count) for topic, count in list(self._counts.items())}
        return SubscriberStatistics(topics=topics, malformed=self._malformed)

    def close(self) -> None:
        """End the iteration, wherever it runs, and disconnect. Calling it twice does no harm."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._waker.send(b"\0")
        with self._lock:  # whoever waited for a message has let go
            self._context.destroy(linger=0)
            self._woken.close()
            self._waker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _next_parts(self, deadline: float | None) -> list[bytes] | None:
        """The parts of the next message; None at the deadline or after `close`."""
        while not self._closed.is_set():
            if cast(int, self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
                return self._socket.recv_multipart(zmq.NOBLOCK)
            left_ms = None if deadline is None else math.ceil((deadline - time.monotonic()) * 1_000)
            if left_ms is not None and left_ms <= 0:
                return None
            self._poller.poll(left_ms)
        return None

    def _read(self, parts: Sequence[bytes]) -> Item | None:
        """Count and decode one message; None for one that only told of a source."""
        try:
            header, item = decode_message(parts, limits=self._limits)
            if parts[0] == DISCOVERY_TOPIC and not self._discover(item.source_id):
                return None
        except WireError:
            self._malformed += 1
            raise
        count = self._counts[parts[0].decode().removesuffix("/")]
        count.see(header)
        if isinstance(item, Gap):
            count.gaps += 1
            count.gap_frames += item.count
        return item

    def _discover(self, source_id: str) -> bool:
        """Follow a source that a status told of; whether that status was itself asked for."""
        asked_for = False
        for request in self._requests:
            if request.source_id is not None or request.kind is None:
                continue
            if request.kind == "status":
                asked_for = True
            elif source_id not in self._followed:
                self._socket.subscribe(request.prefix(source_id))
        self._followed.add(source_id)
        if len(self._followed) > MOST_SOURCES:
            raise WireError(f"more than {MOST_SOURCES} sources announced; name the ones to follow instead of '*'")
        return asked_for


def _first_prefixes(requests: Sequence[Request]) -> set[bytes]:
    """What to subscribe to before any source is known."""
    prefixes = set()
    for request in requests:
        if request.source_id is not None:
            prefixes.add(request.prefix(request.source_id))
        else:
            prefixes.add(b"" if request.kind is None else DISCOVERY_TOPIC)
    return prefixes


def _connected(
    context: zmq.Context[zmq.Socket[bytes]], address: str, high_water_mark: int, limits: Limits
) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.SUB)
    options = {
        zmq.RCVHWM: high_water_mark,
        zmq.LINGER: 0,
        zmq.MAXMSGSIZE: limits.message_bytes,
        zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
        zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_TIMEOUT_MS,
        zmq.HEARTBEAT_TTL: HEARTBEAT_TIMEOUT_MS,
        zmq.RECONNECT_IVL: RECONNECT_FIRST_MS,
        zmq.RECONNECT_IVL_MAX: RECONNECT_MAX_MS,
        zmq.IPV6: int("[" in address),
    }
    for option, value in options.items():
        socket.setsockopt(option, value)
    try:
        socket.connect(address)
    except zmq.ZMQError as exc:
        context.destroy(linger=0)
        raise UsageError(f"{address} cannot be subscribed at: {exc}") from exc
    return socket
