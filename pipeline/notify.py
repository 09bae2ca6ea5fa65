"""What a service manager is told over its socket: ready, alive, stopping (sd_notify(3), without a library).

systemd's protocol is one datagram with lines of ``NAME=value`` to the socket that ``NOTIFY_SOCKET`` names.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from pipeline.messages import RunStatistics
from pipeline.states import SourceState
from pipeline.vitals import Vitals

FEEDS: Final = 3  # a watchdog is fed so many times within its patience


class Notifier:
    """Tells a service manager how a run does.

    The watchdog is fed by whoever calls `tell`, and only if the supervisor has gone round since it was fed last: no
    thread of its own would go on feeding it while the run hangs.
    """

    def __init__(
        self,
        address: str,
        *,
        watchdog_seconds: float | None = None,
        now_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """`address` as in ``NOTIFY_SOCKET``; empty: nobody is told. `watchdog_seconds`: None where none watches."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog_seconds, self._now = watchdog_seconds, now_seconds
        self._fed_at = now_seconds()
        self._status = ""
        self._ready = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if address else None

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Notifier:
        """As the manager asks for it; taken out of the environment, so that no worker speaks for the run."""
        address = environment.pop("NOTIFY_SOCKET", "")
        microseconds, pid = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", str(os.getpid()))
        watched = microseconds.isdecimal() and int(microseconds) > 0 and pid == str(os.getpid())
        usable = address if address[:1] in ("@", "/") else ""
        return cls(usable, watchdog_seconds=int(microseconds) / 1e6 if watched else None)

    def tell(self, vitals: Vitals, statistics: RunStatistics) -> None:
        """Say what is new. To be called several times a second by the thread that would stop the run."""
        if not vitals.hindrances and not self._ready:
            self._ready = True
            self._send("READY=1")
        status = status_line(vitals, statistics)
        if status != self._status:
            self._status = status
            self._send(f"STATUS={status}")
        self._feed(vitals)

    def _feed(self, vitals: Vitals) -> None:
        if self._watchdog_seconds is None:
            return
        since = self._now() - self._fed_at
        judged_since = vitals.supervising and vitals.judged_seconds_ago < since
        if since >= self._watchdog_seconds / FEEDS and judged_since:
            self._fed_at = self._now()
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The run is being ended."""
        self._send("STOPPING=1\nSTATUS=stopping")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._socket is not None:
            self._socket.close()

    def _send(self, text: str) -> None:
        if self._socket is not None:
            with suppress(OSError):  # a manager that has gone, or is far behind, holds no run up
                self._socket.sendto(text.encode(), socket.MSG_DONTWAIT, self._address)


def status_line(vitals: Vitals, statistics: RunStatistics) -> str:
    """The run in a line, for `systemctl status`."""
    if vitals.hindrances:
        return "; ".join(vitals.hindrances)
    streaming = sum(source.state == SourceState.STREAMING for source in statistics.sources)
    return f"{streaming} of {len(statistics.sources)} sources streaming"
