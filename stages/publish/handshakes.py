"""Whom CURVE itself turns away, which no ZAP handler hears of: who does not encrypt, or for another publisher's key."""

from __future__ import annotations

import threading
from collections import Counter
from socket import socketpair
from typing import Any, Final, Literal

import zmq
from zmq.utils.monitor import recv_monitor_message

Reason = Literal["plain", "misled", "other", "left"]

# libzmq's thread for input and output waits where events are not fetched: hence a thread, and room for a flood.
EVENTS_WAITING: Final = 10_000
WAKE_MS: Final = 1_000
EVENTS: Final = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_MONITOR_STOPPED
REASONS: Final[dict[int, Reason]] = {
    zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH: "plain",
    zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC: "misled",
}
SAID: Final[dict[Reason, str]] = {
    "plain": "that did not encrypt (a reader needs the keys of --server-key and --key)",
    "misled": "that encrypted for another publisher (--server-key there is not the key of this one)",
    "other": "whose handshake made no sense",
    "left": "that broke off before they showed a key",
}


class Handshakes:
    """Counts the handshakes of a socket that fail before a key is looked at, in a thread of its own."""

    def __init__(self, context: zmq.Context[Any], socket: zmq.Socket[bytes]) -> None:
        """Watch a socket that is not bound yet."""
        self._socket = socket
        self._lock = threading.Lock()
        self._untold: Counter[Reason] = Counter()
        self._count = 0
        self._closed = False
        self._woken, self._waker = socketpair()
        address = f"inproc://everyframe-handshakes-{id(self):x}"
        socket.monitor(address, EVENTS)
        self._events = context.socket(zmq.PAIR)
        self._events.setsockopt(zmq.RCVHWM, EVENTS_WAITING)
        self._events.setsockopt(zmq.LINGER, 0)
        self._events.connect(address)
        self._thread = threading.Thread(target=self._run, name="everyframe-handshakes", daemon=True)
        self._thread.start()

    @property
    def count(self) -> int:
        """Handshakes so far that failed so."""
        return self._count

    def take(self) -> Counter[Reason]:
        """Those since the last call, by reason."""
        with self._lock:
            untold, self._untold = self._untold, Counter()
        return untold

    def close(self) -> None:
        """Stop watching; before the socket is closed, or after. Calling it twice does no harm."""
        if self._closed:
            return
        self._closed = True
        if not self._socket.closed:
            # First, while the thread listens: libzmq says a last word to it, and would wait for ever if nobody did.
            self._socket.disable_monitor()
        self._waker.send(b"\0")
        self._thread.join()
        self._waker.close()

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._events, zmq.POLLIN)
        poller.register(self._woken, zmq.POLLIN)
        with self._events, self._woken:
            while self._woken.fileno() not in dict(poller.poll()):
                event = recv_monitor_message(self._events)
                self._note(reason_of(event["event"], event["value"]))

    def _note(self, reason: Reason) -> None:
        with self._lock:
            self._count += 1
            self._untold[reason] += 1


def reason_of(event: int, value: int) -> Reason:
    """What a failed handshake failed of."""
    return REASONS.get(value, "other") if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL else "left"


def told_of(failed: Counter[Reason]) -> str:
    """Handshakes by reason, as a person is told; nothing of those who only left, as what looks for open ports does."""
    if not failed.keys() - {"left"}:
        return ""
    each = (f"{count} connection{'s' if count > 1 else ''} {SAID[reason]}" for reason, count in failed.most_common())
    return f"refused {', and '.join(each)}"
