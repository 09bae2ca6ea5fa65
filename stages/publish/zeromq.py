"""Results over a ZeroMQ XPUB socket: only what somebody subscribed to is coded and sent.

A message is three parts: topic, header, payload (see `pipeline.wire`). The socket never blocks: what a slow reader
leaves beyond the high-water mark is dropped for that reader, and shows there as a hole in the numbers.
"""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self, cast

import zmq

from pipeline.errors import SinkError
from pipeline.messages import FrameResult, Gap, SourceStatus, Surface
from pipeline.wire import (
    EVERY_SOURCE,
    RESULT_KINDS,
    Header,
    Kind,
    ResultKind,
    encode_gap,
    encode_header,
    encode_result,
    encode_status,
    select_kind,
    topic_of,
)
from pipeline.wire.schema import MessageType
from stages.publish.bind_address import check_bind
from stages.publish.subscriptions import Subscriptions

LINGER_MS = 500
HEARTBEAT_MS = 1_000
HEARTBEAT_TIMEOUT_MS = 3_000
LARGEST_SUBSCRIPTION_BYTES = 1_024


@dataclass(frozen=True, slots=True)
class PublisherStatistics:
    """What a publisher has done so far."""

    session: int
    subscriptions: int  # distinct prefixes subscribed now
    due: int  # results and gaps given, whether or not somebody wanted them
    coded: int  # payloads made because a kind was subscribed
    sent: dict[Kind, int]  # messages handed to the socket
    sent_bytes: int


class ZeroMQPublisher:
    """An XPUB socket on this machine, usable from one thread; a `Sink`.

    Every result and gap takes the next number of its source in all four kinds' topics, subscribed or not, so that a
    reader that was cut off for a while finds a hole of the right size.
    """

    name = "zeromq"
    needs_surface = False

    def __init__(
        self,
        bind: str = "tcp://127.0.0.1:5560",
        *,
        session: int | None = None,
        high_water_mark: int = 1_000,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Bind the socket; port 0 or ``*`` takes a free one, which `address` tells.

        Args:
            session: what numbers count within; a random 64-bit number unless given.
            high_water_mark: messages kept for a reader that does not keep up.

        Raises:
            ConfigError: `bind` is malformed, or not on this machine only.
            SinkError: the address is in use or cannot be had.
        """
        self._session = secrets.randbits(64) if session is None else session
        self._now_ns = now_ns
        self._subscriptions = Subscriptions()
        self._numbers: defaultdict[bytes, int] = defaultdict(int)  # of results and gaps by source, of statuses by topic
        self._statuses: dict[str, bytes] = {}  # the last of each source
        self._due = self._coded = self._sent_bytes = 0
        self._sent: defaultdict[Kind, int] = defaultdict(int)
        self._context = zmq.Context()
        self._socket = _bound(self._context, check_bind(bind), high_water_mark)

    @property
    def address(self) -> str:
        """Where to subscribe."""
        return str(self._socket.getsockopt_string(zmq.LAST_ENDPOINT)).rstrip("\0")

    @property
    def session(self) -> int:
        """The session in every header."""
        return self._session

    @property
    def socket(self) -> zmq.Socket[bytes]:
        """To wait on together with other sockets (`zmq.POLLIN`: somebody subscribed, call `poll`), for nothing else."""
        return self._socket

    def publish_result(self, source_id: str, payload: bytes | FrameResult, *, gap_before: int = 0) -> None:
        """Send a result in every kind that somebody gets.

        Args:
            payload: the coded result of kind ``all``, forwarded as it is and cut for the other kinds; or the result
                itself, coded once for each kind wanted.
            gap_before: frames declared lost between the source's result before and this one.

        Raises:
            WireError: `payload` is bytes, but not those of a result of kind ``all``, and must be cut.
        """
        self.poll()
        number = self._next_number(source_id.encode())
        self._due += 1
        for kind in self._wanted(source_id):
            coded = self._coded_as(payload, kind)
            header = self._header("result", kind, number, gap_before)
            self._send(topic_of(source_id, kind), kind, header, coded)

    def publish_gap(self, gap: Gap) -> None:
        """Send a gap, at its place, in every kind's stream."""
        self.poll()
        number = self._next_number(gap.source_id.encode())
        self._due += 1
        wanted = self._wanted(gap.source_id)
        coded = encode_gap(gap) if wanted else b""
        for kind in wanted:
            self._send(topic_of(gap.source_id, kind), kind, self._header("gap", kind, number, 0), coded)

    def publish_status(self, status: SourceStatus) -> None:
        """Send a status, and keep it for those who subscribe later."""
        self.poll()
        coded = encode_status(status)
        self._statuses[status.source_id] = coded
        for topic in _status_topics(status.source_id):
            if self._subscriptions.matches(topic):
                self._send_status(topic, coded)
        if status.state == "REMOVED":
            del self._statuses[status.source_id]

    def poll(self) -> None:
        """Take what was subscribed since, and send the last statuses to those who just came; does not wait."""
        came = self._subscribed()
        if not came:
            return
        for source_id, coded in self._statuses.items():
            for topic in _status_topics(source_id):
                if any(topic.startswith(prefix) for prefix in came):
                    self._send_status(topic, coded)

    def write(self, item: FrameResult | Gap | SourceStatus, surface: Surface | None = None) -> None:
        """Publish one item: what makes this a `Sink`."""
        if isinstance(item, FrameResult):
            self.publish_result(item.source_id, item, gap_before=item.gap_before)
        elif isinstance(item, Gap):
            self.publish_gap(item)
        else:
            self.publish_status(item)

    def statistics(self) -> PublisherStatistics:
        """Counts since the start."""
        return PublisherStatistics(
            session=self._session,
            subscriptions=len(self._subscriptions),
            due=self._due,
            coded=self._coded,
            sent=dict(self._sent),
            sent_bytes=self._sent_bytes,
        )

    def close(self) -> None:
        """Give what is queued half a second to leave, then close. Calling it twice does no harm."""
        self._context.destroy(linger=LINGER_MS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _subscribed(self) -> list[bytes]:
        """The prefixes subscribed since the last call."""
        came = []
        try:
            while cast(int, self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
                prefix = self._subscriptions.apply(self._socket.recv(zmq.NOBLOCK))
                if prefix is not None:
                    came.append(prefix)
        except zmq.ZMQError as exc:
            raise _failure(exc) from exc
        return came

    def _wanted(self, source_id: str) -> list[ResultKind]:
        wanted = self._subscriptions.wanted(source_id)
        return [kind for kind in RESULT_KINDS if kind in wanted] if wanted else []

    def _coded_as(self, payload: bytes | FrameResult, kind: ResultKind) -> bytes:
        if isinstance(payload, bytes) and kind == "all":
            return payload
        self._coded += 1
        return select_kind(payload, kind) if isinstance(payload, bytes) else encode_result(payload, kind)

    def _next_number(self, stream: bytes) -> int:
        self._numbers[stream] += 1
        return self._numbers[stream]

    def _header(self, type_: MessageType, kind: Kind, number: int, gap_before: int) -> bytes:
        return encode_header(
            Header(
                type=type_,
                kind=kind,
                session=self._session,
                number=number,
                gap_before=gap_before,
                publish_time_ns=self._now_ns(),
            )
        )

    def _send_status(self, topic: bytes, coded: bytes) -> None:
        self._send(topic, "status", self._header("status", "status", self._next_number(topic), 0), coded)

    def _send(self, topic: bytes, kind: Kind, header: bytes, payload: bytes) -> None:
        try:
            self._socket.send_multipart((topic, header, payload), flags=zmq.NOBLOCK)
        except zmq.ZMQError as exc:
            raise _failure(exc) from exc
        self._sent[kind] += 1
        self._sent_bytes += len(topic) + len(header) + len(payload)


def _status_topics(source_id: str) -> tuple[bytes, bytes]:
    """Where a status goes: to those who follow the source, and to those who look for sources."""
    return topic_of(EVERY_SOURCE, "status"), topic_of(source_id, "status")


def _bound(context: zmq.Context[zmq.Socket[bytes]], address: str, high_water_mark: int) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.XPUB)
    options = {
        zmq.XPUB_VERBOSE: 1,  # a second subscriber of a topic is told of too: it gets the last status
        zmq.SNDHWM: high_water_mark,
        zmq.LINGER: LINGER_MS,
        zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
        zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_TIMEOUT_MS,
        zmq.HEARTBEAT_TTL: HEARTBEAT_TIMEOUT_MS,
        zmq.MAXMSGSIZE: LARGEST_SUBSCRIPTION_BYTES,
        zmq.IPV6: int("[" in address),
    }
    for option, value in options.items():
        socket.setsockopt(option, value)
    try:
        socket.bind(address)
    except zmq.ZMQError as exc:
        context.destroy(linger=0)
        raise _refusal(address, exc) from exc
    return socket


def _failure(exc: zmq.ZMQError) -> SinkError:
    if exc.errno == zmq.ENOTSOCK:
        return SinkError("zeromq: the publishing socket is closed")
    return SinkError(f"zeromq: publishing failed: {exc}")


def _refusal(address: str, exc: zmq.ZMQError) -> SinkError:
    if exc.errno == zmq.EADDRINUSE:
        return SinkError(
            f"{address} is in use, perhaps by another everyframe; stop that one, or publish elsewhere "
            "(publish.bind; port 0 takes a free one)"
        )
    return SinkError(f"{address} cannot be published at: {exc}")
