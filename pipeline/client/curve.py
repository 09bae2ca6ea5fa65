"""A reader's keys: the publisher's public key, and a pair of its own that the publisher lets in."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from pipeline.errors import UsageError
from pipeline.keys import path_of, public_key, secret_key

TRY_AGAIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ReaderKeys:
    """What a socket needs to speak CURVE."""

    server: str  # the publisher's public key
    public: str
    secret: bytes = field(repr=False)

    def apply(self, socket: zmq.Socket[Any]) -> None:
        """Have a socket that is not connected yet use these keys."""
        socket.setsockopt(zmq.CURVE_SERVERKEY, self.server.encode())
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self.public.encode())
        socket.setsockopt(zmq.CURVE_SECRETKEY, self.secret)


class Refusals:
    """Connects anew when our key was refused, which libzmq gives up on for good: the list may have changed since."""

    def __init__(self, socket: zmq.Socket[bytes], address: str) -> None:
        """Watch a socket that is not connected yet."""
        self.count = 0
        self._socket, self._address = socket, address
        self._outcomes = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
        self._due: float | None = None  # of `time.monotonic`

    @property
    def waitable(self) -> zmq.Socket[bytes]:
        """To wait on for a refusal."""
        return self._outcomes

    @property
    def due(self) -> float:
        """When `tend` has something to do, by `time.monotonic`."""
        return float("inf") if self._due is None else self._due

    def tend(self) -> None:
        """Take note of refusals, and connect anew where it is time."""
        while self._outcomes.poll(0):
            recv_monitor_message(self._outcomes)
            self.count += 1
            self._due = time.monotonic() + TRY_AGAIN_SECONDS
        if time.monotonic() >= self.due:
            self._due = None
            with suppress(zmq.ZMQError):  # what was refused may be gone already
                self._socket.disconnect(self._address)
            self._socket.connect(self._address)


def reader_keys(server_key: str | Path | None, key: str | Path | None) -> ReaderKeys | None:
    """The keys; None where neither was given.

    Args:
        server_key: the publisher's public key: 40 characters, or a file that holds it.
        key: the file of the reader's own secret key.

    Raises:
        UsageError: one without the other, or what is no key.
    """
    if server_key is None and key is None:
        return None
    if server_key is None or key is None:
        missing, given = ("server_key", "key") if server_key is None else ("key", "server_key")
        raise UsageError(f"{missing}: not given, but {given} is; an encrypted publisher needs both")
    own = secret_key(path_of(key), setting="key")
    return ReaderKeys(public_key(str(server_key), setting="server_key"), own.public, own.secret)
