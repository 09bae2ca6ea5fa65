"""Messages from a publisher's ZeroMQ socket; libzmq reconnects by itself."""

from __future__ import annotations

import math
import socket as sockets
import threading
import time
from collections.abc import Sequence
from typing import cast

import zmq

from pipeline.client.curve import ReaderKeys, Refusals
from pipeline.client.topics import DISCOVERY_TOPIC, Request
from pipeline.errors import UsageError, WireError
from pipeline.wire import Limits

# A host that is gone is noticed by the kernel, within 6 s. ZMTP's own heartbeats are for the publisher alone: libzmq
# 4.3.5 aborts the process of a reader that sends them and leaves its queue full for longer than their time-out
# (`Assertion failed: _input_stopped`, measured: every time; libzmq issues 3937 and 4767).
KEEPALIVE_IDLE_SECONDS = 3
KEEPALIVE_EVERY_SECONDS = 1
KEEPALIVE_PROBES = 3
RECONNECT_FIRST_MS = 100
RECONNECT_MAX_MS = 2_000
MOST_SOURCES = 10_000  # that "*" follows: a publisher that makes up names must not fill memory


class ZeroMQTransport:
    """A SUB socket, with what it subscribes to."""

    counts_holes = True
    fault = ""  # libzmq connects in its own time, and tells nobody why not

    def __init__(
        self,
        address: str,
        requests: Sequence[Request],
        *,
        high_water_mark: int,
        limits: Limits,
        keys: ReaderKeys | None = None,
    ) -> None:
        """Connect; the publisher need not be there yet. Raises `UsageError` where that can never be."""
        self._requests = requests
        self._followed: set[str] = set()  # sources that "*" has found
        self._interrupted = threading.Event()
        self._context = zmq.Context()
        self._socket = _socket(self._context, address, high_water_mark, limits)
        self._refusals: Refusals | None = None
        if keys is not None:
            keys.apply(self._socket)
            self._refusals = Refusals(self._socket, address)
        _connect(self._context, self._socket, address)
        self._woken, self._waker = sockets.socketpair()
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._woken.fileno(), zmq.POLLIN)
        if self._refusals is not None:
            self._poller.register(self._refusals.waitable, zmq.POLLIN)
        for prefix in _first_prefixes(requests):
            self._socket.subscribe(prefix)

    def receive(self, deadline: float | None) -> list[bytes] | None:
        """See `Transport`."""
        while not self._interrupted.is_set():
            if cast(int, self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
                return self._socket.recv_multipart(zmq.NOBLOCK)
            if deadline is not None and time.monotonic() >= deadline:
                return None
            if self._refusals is not None:
                self._refusals.tend()
            self._poller.poll(self._wait_ms(deadline))
        return None

    @property
    def refused(self) -> int:
        """See `Transport`."""
        return 0 if self._refusals is None else self._refusals.count

    def heard(self, topic: bytes, source_id: str) -> bool:
        """Follow a source that a status told of; whether that status was itself asked for."""
        if topic != DISCOVERY_TOPIC:
            return True
        asked_for = False
        for request in self._requests:
            if request.source_id is not None:
                continue
            if request.kind == "status":
                asked_for = True
            elif source_id not in self._followed:
                self._socket.subscribe(request.prefix(source_id))
        self._followed.add(source_id)
        if len(self._followed) > MOST_SOURCES:
            raise WireError(f"more than {MOST_SOURCES} sources announced; name the ones to follow instead of '*'")
        return asked_for

    def missed(self) -> dict[str, int]:
        """See `Transport`."""
        return {}

    def group(self) -> None:
        """See `Transport`."""

    def refuse(self) -> None:
        """See `Transport`."""

    def interrupt(self) -> None:
        """See `Transport`."""
        self._interrupted.set()
        self._waker.send(b"\0")

    def close(self) -> None:
        """See `Transport`."""
        self._context.destroy(linger=0)
        self._woken.close()
        self._waker.close()

    def _wait_ms(self, deadline: float | None) -> int | None:
        """Until there is something to do; None for as long as nothing comes."""
        until = float("inf") if deadline is None else deadline
        if self._refusals is not None:
            until = min(until, self._refusals.due)
        return None if until == float("inf") else max(0, math.ceil((until - time.monotonic()) * 1_000))


def _first_prefixes(requests: Sequence[Request]) -> set[bytes]:
    """What to subscribe to before any source is known."""
    prefixes = set()
    for request in requests:
        if request.source_id is not None:
            prefixes.add(request.prefix(request.source_id))
        else:
            prefixes.add(DISCOVERY_TOPIC)  # never b"": it would bring whatever anybody else asked for
    return prefixes


def _socket(
    context: zmq.Context[zmq.Socket[bytes]], address: str, high_water_mark: int, limits: Limits
) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.SUB)
    options = {
        zmq.RCVHWM: high_water_mark,
        zmq.LINGER: 0,
        zmq.MAXMSGSIZE: limits.message_bytes,
        zmq.TCP_KEEPALIVE: 1,
        zmq.TCP_KEEPALIVE_IDLE: KEEPALIVE_IDLE_SECONDS,
        zmq.TCP_KEEPALIVE_INTVL: KEEPALIVE_EVERY_SECONDS,
        zmq.TCP_KEEPALIVE_CNT: KEEPALIVE_PROBES,
        zmq.RECONNECT_IVL: RECONNECT_FIRST_MS,
        zmq.RECONNECT_IVL_MAX: RECONNECT_MAX_MS,
        zmq.IPV6: int("[" in address),
    }
    for option, value in options.items():
        socket.setsockopt(option, value)
    return socket


def _connect(context: zmq.Context[zmq.Socket[bytes]], socket: zmq.Socket[bytes], address: str) -> None:
    try:
        socket.connect(address)
    except zmq.ZMQError as exc:
        context.destroy(linger=0)
        raise UsageError(f"{address} cannot be subscribed at: {exc}") from exc
