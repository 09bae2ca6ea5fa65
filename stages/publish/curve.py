"""Who may subscribe: CURVE, ZeroMQ's encryption, and a gate that lets in known keys alone.

CURVE by itself lets in everybody who has a key, and anybody can make one. Who is let in is asked of a ZAP handler
(https://rfc.zeromq.org/spec/27/), pyzmq's, which has a thread of its own in this process. Who does not get so far as
to show a key is heard of from the socket's monitor.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import zmq

from stages.publish.handshakes import Handshakes, told_of

DOMAIN: Final = "everyframe"
REMIND_SECONDS: Final = 60.0  # between two complaints: a refused reader tries again and again
MOST_NAMED: Final = 5  # keys in one complaint
MOST_REMEMBERED: Final = 1_000  # keys refused since the last: whoever makes up keys must not fill memory


class Allowed(Protocol):
    """Says who is let in: `pipeline.allow_list.AllowList`. Asked from the gate's thread."""

    @property
    def fault(self) -> str:
        """Why the list cannot be read now; empty if it can."""

    def allows(self, key: str) -> bool:
        """Whether the public key is let in; raises nothing."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The publisher's own key, and whom it lets in."""

    secret_key: bytes = field(repr=False)  # Z85, 40 characters
    allowed: Allowed


class Gate:
    """The ZAP handler of one context: refuses, counts, and says whom it refused."""

    def __init__(
        self,
        context: zmq.Context[Any],
        curve: Curve,
        *,
        now_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to answer; sockets that `guard` sets up let nobody in before and after."""
        from zmq.auth.thread import ThreadAuthenticator

        self._curve, self._now_seconds = curve, now_seconds
        self._lock = threading.Lock()
        self._waiting: Counter[str] = Counter()  # refused since the last complaint, by key
        self._unnamed = self._refused = 0
        self._told_at: float | None = None
        self._handshakes: Handshakes | None = None
        self._context = context
        self._told_fault = ""
        self._authenticator = ThreadAuthenticator(context)
        self._authenticator.configure_curve_callback(DOMAIN, self)
        self._authenticator.start()

    @property
    def refused(self) -> int:
        """Connections refused so far: their key is not allowed, or they showed none that could be asked about."""
        return self._refused + (0 if self._handshakes is None else self._handshakes.count)

    def guard(self, socket: zmq.Socket[bytes]) -> None:
        """Have a socket that is not bound yet speak CURVE, and ask this gate. One at a time is guarded."""
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._curve.secret_key)
        socket.setsockopt(zmq.ZAP_DOMAIN, DOMAIN.encode())
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without somebody to ask, nobody is let in
        if self._handshakes is not None:
            self._handshakes.close()
        self._handshakes = Handshakes(self._context, socket)

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether to let in who has this public key: the name and the signature that pyzmq asks by."""
        shown = key.decode("ascii")
        if self._curve.allowed.allows(shown):
            return True
        with self._lock:
            self._refused += 1
            if shown in self._waiting or len(self._waiting) < MOST_REMEMBERED:
                self._waiting[shown] += 1
            else:
                self._unnamed += 1
        return False

    def complaints(self) -> list[str]:
        """What to tell people since the last call: a list that cannot be read, and, once a minute, who was refused."""
        told = []
        fault = self._curve.allowed.fault
        if fault != self._told_fault:
            self._told_fault = fault
            if fault:
                told.append(f"{fault}; what it said before holds")
        if self._told_at is None or self._now_seconds() - self._told_at >= REMIND_SECONDS:
            with self._lock:
                waiting, self._waiting = self._waiting, Counter()
                unnamed, self._unnamed = self._unnamed, 0
            refusals = [_refusals(waiting, unnamed)] if waiting else []
            if self._handshakes is not None and (failed := told_of(self._handshakes.take())):
                refusals.append(failed)
            if refusals:
                self._told_at = self._now_seconds()
            told += refusals
        return told

    def close(self) -> None:
        """Stop answering; before the context is closed. Calling it twice does no harm."""
        if self._handshakes is not None:
            self._handshakes.close()
        self._authenticator.stop()


def _refusals(waiting: Counter[str], unnamed: int) -> str:
    named = ", ".join(f"{key} ({count} times)" if count > 1 else key for key, count in waiting.most_common(MOST_NAMED))
    others = len(waiting) - MOST_NAMED
    more = f" and {others}{' or more' if unnamed else ''} other keys" if others > 0 else ""
    return f"refused to let in {named}{more}: not in the list of publish.clients"
