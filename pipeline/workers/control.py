"""A worker's end of the socket to its supervisor: orders in, reports out, and the end when the supervisor is gone."""

from __future__ import annotations

import math
import select
import socket
from collections import deque
from contextlib import suppress

from pipeline.errors import ConfigError
from pipeline.workers.messages import (
    Begin,
    Epoch,
    EpochWanted,
    Order,
    Report,
    SourceGiven,
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
        self._descriptors: dict[int, list[int]] = {}

    def fileno(self) -> int:
        """What an event loop polls."""
        return self._channel.fileno()

    def orders(self, *, timeout_seconds: float = 0.0) -> list[Order]:
        """Orders that have come; waits up to the timeout for the first. Raises `SupervisorGone`."""
        while self._poll.poll(0 if self._inbox else math.ceil(timeout_seconds * 1000)):
            self._inbox.append(self._receive())
        orders = list(self._inbox)
        self._inbox.clear()
        return orders

    def report(self, report: Report) -> None:
        """Tell the supervisor. Raises `SupervisorGone`."""
        try:
            self._channel.send(encode(report))
        except (BrokenPipeError, ConnectionResetError) as exc:
            raise SupervisorGone from exc

    def mention(self, report: Report) -> None:
        """Tell the supervisor what it will hear again, unless it is far behind: a suspended one holds nobody up."""
        with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            self._channel.send(encode(report), socket.MSG_DONTWAIT)

    def epoch(self) -> int:
        """Ask for a new epoch and wait for it. Raises `ConfigError` where it cannot be kept, `SupervisorGone`."""
        self.report(EpochWanted())
        while True:
            order = self._receive()
            if isinstance(order, Epoch):
                if order.error:
                    raise ConfigError(order.error)
                return order.epoch
            self._inbox.append(order)

    def handover(self) -> tuple[Spec, int, list[SourceGiven]]:
        """The spec, the board's descriptor, and the sources to begin with."""
        spec, (board,) = self._receive_with_descriptors()
        assert isinstance(spec, Spec)
        given = []
        while not isinstance(order := self._receive(), Begin):
            assert isinstance(order, SourceGiven)
            given.append(order)
        return spec, board, given

    def descriptors(self, given: SourceGiven) -> list[int]:
        """What came with a source, once: its ring's memory, the ring's eventfd, and standard input if it reads that."""
        return self._descriptors.pop(given.number)

    def _receive(self) -> Order:
        order, descriptors = self._receive_with_descriptors()
        if isinstance(order, SourceGiven):
            self._descriptors[order.number] = descriptors
        return order

    def _receive_with_descriptors(self) -> tuple[Order, list[int]]:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._channel, MAX_ORDER_BYTES, MAX_DESCRIPTORS)
        except ConnectionResetError as exc:  # it ended without reading all reports
            raise SupervisorGone from exc
        if not data:
            raise SupervisorGone
        return decode_order(data), descriptors
