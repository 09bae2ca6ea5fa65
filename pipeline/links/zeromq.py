"""Links over ZeroMQ PUSH/PULL on abstract ipc sockets: no file to leave behind, none to clean up.

An abstract socket has no permissions of its own, so the receiving end admits processes of this user only
(`ZMQ_IPC_FILTER_UID`, checked by libzmq from the peer's credentials before the first byte).
"""

from __future__ import annotations

import os
import secrets
from typing import cast

import zmq

from pipeline.errors import LinkError
from pipeline.links.link import LinkStatistics, Parts

MAX_MESSAGE_BYTES = 64 << 20
RECONNECT_MS = 20
# As plain numbers: the arithmetic of Python's enums takes longer than asking the socket.
_EVENTS, _POLLIN = zmq.EVENTS, int(zmq.POLLIN)


def private_address(name: str) -> str:
    """An abstract ipc address that nobody else has."""
    return f"ipc://@everyframe-{secrets.token_hex(8)}-{name}"


class _End:
    """One end of a link."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], kind: int, *, capacity: int) -> None:
        self._socket: zmq.Socket[bytes] = context.socket(kind)
        self._socket.set_hwm(capacity)
        self._socket.linger = 0
        self._sent = self._received = self._refused = 0

    @property
    def waitable(self) -> zmq.Socket[bytes]:
        """The socket: readable, or writable, where a message can be received or sent."""
        return self._socket

    def close(self, *, flush_seconds: float = 0.0) -> None:
        """Release the socket; what has not left in the time given is lost."""
        self._socket.close(linger=round(flush_seconds * 1000))

    def statistics(self) -> LinkStatistics:
        """Messages so far."""
        return LinkStatistics(self._sent, self._received, self._refused)


class SendingEnd(_End):
    """Where messages enter."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str, *, capacity: int) -> None:
        super().__init__(context, zmq.PUSH, capacity=capacity)
        self._socket.reconnect_ivl = RECONNECT_MS
        self._socket.connect(address)

    def send(self, parts: Parts) -> bool:
        """Hand a message on; False where the link is full."""
        try:
            self._socket.send_multipart(parts, zmq.DONTWAIT)
        except zmq.Again:
            self._refused += 1
            return False
        self._sent += 1
        return True

    def receive(self) -> list[bytes] | None:
        """Nothing ever comes out here."""
        return None


class ReceivingEnd(_End):
    """Where messages come out."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str, *, capacity: int) -> None:
        """Raises `LinkError` where the address is taken."""
        super().__init__(context, zmq.PULL, capacity=capacity)
        self._socket.setsockopt(zmq.IPC_FILTER_UID, os.getuid())
        self._socket.maxmsgsize = MAX_MESSAGE_BYTES
        try:
            self._socket.bind(address)
        except zmq.ZMQError as exc:
            self.close()
            raise LinkError(f"link {address} cannot be opened: {exc}") from exc

    def send(self, parts: Parts) -> bool:
        """Nothing can be put in here."""
        self._refused += 1
        return False

    def receive(self) -> list[bytes] | None:
        """The next message, None where there is none."""
        # Asking first: an exception costs as much as ten questions, and every loop of a worker ends with "none".
        if not cast(int, self._socket.getsockopt(_EVENTS)) & _POLLIN:
            return None
        try:
            parts = self._socket.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return None
        self._received += 1
        return parts
