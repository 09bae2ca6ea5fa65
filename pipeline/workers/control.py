"""A worker's end of the socket to its supervisor: orders in, reports out, and the end when the supervisor is gone."""

from __future__ import annotations

import math
import select
import socket
from collections import deque

from pipeline.errors import ConfigError
from pipeline.workers.messages import (
    Begin,
    Epoch,
    EpochWanted,
    Order,
    Report,
    RingGiven,
    Spec,
    decode_order,
    encode,
)

MAX_ORDER_BYTES = 1 << 20
MAX_DESCRIPTORS = 4


class SupervisorGone(SystemExit):
    """The supervisor ended; so does its worker."""

    def __init__(self) -> None:
        super().__init__(0)


class Control:
    """Orders are kept in the order they came until `orders` hands them out."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)
        self._inbox: deque[Order] = deque()

    def fileno(self) -> int:
        """What an event loop polls."""
        return self._channel.fileno()

    def orders(self, *, timeout_seconds: float = 0.0) -> list[Order]:
        """Orders that have come; waits up to the timeout for the first. Raises `SupervisorGone`."""
        while self._poll.poll(0 if self._inbox else math.ceil(timeout_seconds * 1000)):
            self._inbox.append(self._receive()[0])
        orders = list(self._inbox)
        self._inbox.clear()
        return orders

    def report(self, report: Report) -> None:
        """Tell the supervisor. Raises `SupervisorGone`."""
        try:
            self._channel.send(encode(report))
        except (BrokenPipeError, ConnectionResetError) as exc:
            raise SupervisorGone from exc

    def epoch(self) -> int:
        """Ask for a new epoch and wait for it. Raises `ConfigError` where it cannot be kept, `SupervisorGone`."""
        self.report(EpochWanted())
        while True:
            order, _ = self._receive()
            if isinstance(order, Epoch):
                if order.error:
                    raise ConfigError(order.error)
                return order.epoch
            self._inbox.append(order)

    def handover(self) -> tuple[Spec, int, dict[int, tuple[int, int]]]:
        """The spec, the board's descriptor, and of each source's ring the memory and the eventfd."""
        spec, (board,) = self._receive()
        assert isinstance(spec, Spec)
        rings: dict[int, tuple[int, int]] = {}
        while True:
            order, descriptors = self._receive()
            if isinstance(order, Begin):
                return spec, board, rings
            assert isinstance(order, RingGiven)
            rings[order.source] = (descriptors[0], descriptors[1])

    def _receive(self) -> tuple[Order, list[int]]:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._channel, MAX_ORDER_BYTES, MAX_DESCRIPTORS)
        except ConnectionResetError as exc:  # it ended without reading all reports
            raise SupervisorGone from exc
        if not data:
            raise SupervisorGone
        return decode_order(data), descriptors
