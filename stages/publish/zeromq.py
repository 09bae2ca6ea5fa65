"""Results over a ZeroMQ XPUB socket: only what somebody subscribed to is coded and sent.

A message is three parts: topic, header, payload (see `pipeline.wire`). The socket never blocks: what a slow reader
leaves beyond the high-water mark is dropped for that reader, and shows there as a hole in the numbers.
"""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Self, cast

import zmq

from pipeline.config import FrameConfig
from pipeline.errors import InUse, SinkError
from pipeline.messages import Frame, FrameResult, Gap, SourceStatus, Surface, ZoneEvent
from pipeline.wire import (
    EVERY_SOURCE,
    MASK_FORMS,
    RESULT_KINDS,
    Header,
    Kind,
    MaskForm,
    ResultKind,
    decode_result,
    encode_event,
    encode_gap,
    encode_header,
    encode_picture,
    encode_result,
    encode_status,
    select_kind,
    topic_of,
)
from pipeline.wire.schema import MessageType
from stages.publish.ahead import PolygonsAhead
from stages.publish.bind_address import check_bind
from stages.publish.curve import Curve, Gate
from stages.publish.patience import once_free
from stages.publish.pictures import Pictures
from stages.publish.subscriptions import Subscriptions

LINGER_MS = 500
HEARTBEAT_MS = 1_000
HEARTBEAT_TIMEOUT_MS = 3_000
LARGEST_SUBSCRIPTION_BYTES = 1_024
POLL_NS = 1_000_000  # between looks at what was subscribed, where results come without a pause
# As plain numbers: the arithmetic of Python's enums takes longer than asking the socket.
_EVENTS, _POLLIN = zmq.EVENTS, int(zmq.POLLIN)
_NOBLOCK, _SNDMORE = int(zmq.NOBLOCK), int(zmq.SNDMORE)


@dataclass(frozen=True, slots=True)
class PublisherStatistics:
    """What a publisher has done so far."""

    session: int
    subscriptions: int  # distinct prefixes subscribed now
    due: int  # results and gaps given, whether or not somebody wanted them
    coded: int  # payloads made because a kind was subscribed
    sent: dict[Kind, int]  # messages handed to the socket
    sent_bytes: int
    refused: int = 0  # connections that were not let in


class ZeroMQPublisher:
    """An XPUB socket, usable from one thread; a `Sink`.

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
        curve: Curve | None = None,
        frame: FrameConfig | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Bind the socket; port 0 or ``*`` takes a free one, which `address` tells.

        Args:
            session: what numbers count within; a random 64-bit number unless given.
            high_water_mark: messages kept for a reader that does not keep up.
            frame: pictures that are offered to those who subscribe to the kind `frame`; None: there are none.
            curve: encrypt, and let in only those whom it allows; None: neither, and on this machine only.

        Raises:
            ConfigError: `bind` is malformed, or can be reached from other machines without `curve`.
            SinkError: the address is in use, and stays so for some seconds, or cannot be had.
        """
        self._session = secrets.randbits(64) if session is None else session
        self._now_ns = now_ns
        self._subscriptions, self._polygons = Subscriptions(), PolygonsAhead()
        self._numbers: defaultdict[bytes, int] = defaultdict(int)  # of results and gaps by source, of statuses by topic
        self._statuses: dict[str, bytes] = {}  # the last of each source
        self._due = self._coded = self._sent_bytes = self._polled_ns = 0
        self._sent: defaultdict[Kind, int] = defaultdict(int)
        self._pictures = None if frame is None else Pictures(frame)
        address = check_bind(bind, guarded=curve is not None)
        self._context = zmq.Context()
        self._gate = None if curve is None else Gate(self._context, curve)
        try:
            self._socket = once_free(lambda: _bound(self._context, address, high_water_mark, self._gate))
        except SinkError:
            self.close()
            raise

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

    def publish_result(self, source_id: str, payload: bytes | FrameResult, *, gap_before: int = 0) -> int:
        """Send a result in every kind that somebody gets; its number, whether or not somebody does.

        Args:
            payload: the coded result of kind ``all``, forwarded as it is and cut for the other kinds; or the result
                itself, coded once for each kind wanted. Masks in other forms are coded only where they are asked for.
            gap_before: frames declared lost between the source's result before and this one.

        Raises:
            WireError: `payload` is bytes, but not those of a result of kind ``all``, and must be cut.
        """
        if time.monotonic_ns() - self._polled_ns > POLL_NS:
            self.poll()
        number = self._next_number(source_id.encode())
        self._due += 1
        kinds, forms = self._wanted(source_id)
        for kind in kinds:
            header = self._header("result", kind, number, gap_before)
            self._send(topic_of(source_id, kind), kind, header, self._coded_as(payload, kind))
        for form, data in self._in_forms(payload, forms) if forms else ():
            self._send(topic_of(source_id, form), form, self._header("result", form, number, gap_before), data)
        return number

    def publish_gap(self, gap: Gap) -> int:
        """Send a gap, at its place, in every kind's stream; its number."""
        self.poll()
        number = self._next_number(gap.source_id.encode())
        self._due += 1
        kinds, forms = self._wanted(gap.source_id)
        coded = encode_gap(gap) if kinds or forms else b""
        for kind in (*kinds, *forms):
            self._send(topic_of(gap.source_id, kind), kind, self._header("gap", kind, number, 0), coded)
        return number

    def wants_picture(self, source_id: str) -> bool:
        """Whether somebody subscribed to this source's pictures, and one is due."""
        if self._pictures is None or "frame" not in self._subscriptions.wanted(source_id):
            return False
        return self._pictures.is_due(source_id)

    def publish_picture(self, frame: Frame) -> None:
        """Send the picture of a frame, numbered within its own topic. Raises `SinkError` where it cannot be coded."""
        if self._pictures is not None:
            topic = topic_of(frame.source_id, "frame")
            payload = encode_picture(self._pictures.make(frame))
            self._coded += 1
            self._send(topic, "frame", self._header("frame", "frame", self._next_number(topic), 0), payload)

    def publish_event(self, event: ZoneEvent) -> None:
        """Send an event at a line or in a zone, numbered within its own topic, whether or not somebody gets it."""
        topic = topic_of(event.source_id, "events")
        number = self._next_number(topic)
        if "events" in self._subscriptions.wanted(event.source_id):
            self._coded += 1
            self._send(topic, "events", self._header("event", "events", number, 0), encode_event(event))

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
            if self._pictures is not None:
                self._pictures.forget(status.source_id)

    def poll(self) -> None:
        """Take what was subscribed since, and send the last statuses to those who just came; does not wait."""
        self._polled_ns = time.monotonic_ns()
        came = self._subscribed()
        if not came:
            return
        self._polygons.hear(came)
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
            refused=self.refused,
        )

    @property
    def refused(self) -> int:
        """Connections so far that were not let in."""
        return 0 if self._gate is None else self._gate.refused

    def complaints(self) -> list[str]:
        """What people should be told since the last call, such as whose key was refused; seldom anything."""
        return [] if self._gate is None else self._gate.complaints()

    def close(self) -> None:
        """Give what is queued half a second to leave, then close. Calling it twice does no harm."""
        if self._gate is not None:
            self._gate.close()
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
            while cast(int, self._socket.getsockopt(_EVENTS)) & _POLLIN:
                prefix = self._subscriptions.apply(self._socket.recv(zmq.NOBLOCK))
                if prefix is not None:
                    came.append(prefix)
        except zmq.ZMQError as exc:
            raise _failure(exc) from exc
        return came

    def _wanted(self, source_id: str) -> tuple[tuple[ResultKind, ...], tuple[MaskForm, ...]]:
        return _in_order(self._subscriptions.wanted(source_id))

    def _coded_as(self, payload: bytes | FrameResult, kind: ResultKind) -> bytes:
        if isinstance(payload, bytes) and kind == "all":
            return payload
        self._coded += 1
        return select_kind(payload, kind) if isinstance(payload, bytes) else encode_result(payload, kind)

    def _in_forms(self, payload: bytes | FrameResult, forms: Sequence[MaskForm]) -> Iterator[tuple[MaskForm, bytes]]:
        """The masks in the forms that were asked for; the map is decoded once for all of them."""
        if forms:
            result = decode_result(payload) if isinstance(payload, bytes) else payload
            for form in forms:
                self._coded += 1
                yield form, encode_result(result, form)

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
            self._socket.send(topic, _NOBLOCK | _SNDMORE)
            self._socket.send(header, _NOBLOCK | _SNDMORE)
            self._socket.send(payload, _NOBLOCK)
        except zmq.ZMQError as exc:
            raise _failure(exc) from exc
        self._sent[kind] += 1
        self._sent_bytes += len(topic) + len(header) + len(payload)


@lru_cache(maxsize=1024)
def _in_order(wanted: frozenset[Kind]) -> tuple[tuple[ResultKind, ...], tuple[MaskForm, ...]]:
    """The kinds of results among those wanted, and the forms of masks."""
    return tuple(kind for kind in RESULT_KINDS if kind in wanted), tuple(f for f in MASK_FORMS if f in wanted)


def _status_topics(source_id: str) -> tuple[bytes, bytes]:
    """Where a status goes: to those who follow the source, and to those who look for sources."""
    return topic_of(EVERY_SOURCE, "status"), topic_of(source_id, "status")


def _bound(
    context: zmq.Context[zmq.Socket[bytes]], address: str, high_water_mark: int, gate: Gate | None
) -> zmq.Socket[bytes]:
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
    if gate is not None:
        gate.guard(socket)
    try:
        socket.bind(address)
    except zmq.ZMQError as exc:
        socket.close(linger=0)
        raise _refusal(address, exc) from exc
    return socket


def _failure(exc: zmq.ZMQError) -> SinkError:
    if exc.errno == zmq.ENOTSOCK:
        return SinkError("zeromq: the publishing socket is closed")
    return SinkError(f"zeromq: publishing failed: {exc}")


def _refusal(address: str, exc: zmq.ZMQError) -> SinkError:
    if exc.errno == zmq.EADDRINUSE:
        return InUse(
            f"{address} is in use, perhaps by another everyframe; stop that one, or publish elsewhere "
            "(publish.bind; port 0 takes a free one)"
        )
    return SinkError(f"{address} cannot be published at: {exc}")
