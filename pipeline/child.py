"""A worker process as its supervisor sees it: started, spoken to, listened to, ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.workers.control import MAX_ORDER_BYTES
from pipeline.workers.messages import Order, Report, decode_report, encode

_SEND_BUFFER_BYTES = MAX_ORDER_BYTES
MOST_ORDERS = 10_000
_EXIT_SECONDS = 1.0
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Child:
    """One worker process and the socket to it.

    It is started anew (never forked with the caller's threads and sockets), in a process group of its own, so that a
    terminal's Ctrl-C reaches the supervisor alone.
    """

    def __init__(self, *, debug: bool, single_threaded: bool) -> None:
        """`single_threaded`: numpy need not start a thread pool in it. `debug`: its standard error is ours."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._channel = ours
        self._orders: deque[tuple[bytes, list[int]]] = deque()
        with theirs:
            self._process = subprocess.Popen(
                # -P: the folder we happen to be started in is no place to import from.
                [sys.executable, "-P", "-m", "pipeline.worker"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=None if debug else subprocess.DEVNULL,
                env=environment(single_threaded=single_threaded),
                process_group=0,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def fileno(self) -> int:
        """What an event loop polls: readable when a report came, or the process ended."""
        return self._channel.fileno()

    def order(self, order: Order, descriptors: Sequence[int] = ()) -> None:
        """Tell the worker; one that has ended is found out elsewhere. The descriptors stay open until it has them."""
        self._orders.append((encode(order), list(descriptors)))
        if len(self._orders) > MOST_ORDERS:
            self._process.kill()  # it has not listened for ages
        self.flush()

    def flush(self) -> None:
        """Send the orders that wait, as far as there is room; a worker that loads a network does not listen."""
        try:
            while self._orders:
                data, descriptors = self._orders[0]
                socket.send_fds(self._channel, [data], descriptors, socket.MSG_DONTWAIT)
                self._orders.popleft()
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self._orders.clear()

    def reports(self) -> tuple[list[Report], bool]:
        """What the worker has told since, and whether it has ended."""
        found: list[Report] = []
        while True:
            try:
                data = self._channel.recv(MAX_ORDER_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return found, False
            except ConnectionResetError:
                continue  # it ended without reading all orders, which the kernel tells before its last reports
            if not data:
                return found, True
            found.append(decode_report(data))

    @property
    def is_stopped(self) -> bool:
        """Whether the process is suspended (SIGSTOP), which it cannot tell itself."""
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                return file.read().rpartition(b")")[2].split()[0] == b"T"
        except OSError:
            return False

    @property
    def waited_for_core_ns(self) -> int:
        """How long its most unlucky thread was ready to run while others had the cores; 0 where the kernel is silent.

        `/proc/<pid>/task/<tid>/schedstat`, second figure (Documentation/scheduler/sched-stats.rst).
        """
        waited = 0
        for schedstat in Path(f"/proc/{self.pid}/task").glob("*/schedstat"):
            with suppress(OSError, IndexError, ValueError):  # the thread has just ended
                waited = max(waited, int(schedstat.read_text().split()[1]))
        return waited

    def kill(self) -> int:
        """End the process, whatever it does, and wait until it is gone; the exit status."""
        self._process.kill()
        status = self._process.wait()
        self._channel.close()
        return status

    def reap(self) -> int:
        """Wait for a process whose socket has ended, and so the process nearly; the exit status."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_EXIT_SECONDS)
        return self.kill()


def describe_exit(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def environment(*, single_threaded: bool) -> dict[str, str]:
    """Ours, with our import path: a program may have found this package where a new interpreter would not look."""
    path = os.pathsep.join(filter(None, map(_absolute, sys.path)))
    return os.environ | {"PYTHONPATH": path} | (_ONE_THREAD if single_threaded else {})


def _absolute(entry: str) -> str:
    """An entry of the import path wherever we are; none for one that hangs on a working directory that was removed."""
    try:
        return os.path.abspath(entry)
    except FileNotFoundError:
        return ""
