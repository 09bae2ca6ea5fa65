"""Programs that read what a publisher sends, fed until they end."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

from stages.publish.zeromq import ZeroMQPublisher
from tests.faults.running import allowed

PATIENCE_SECONDS = 30.0


@contextmanager
def started(command: list[str], *, log: Path, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A program whose output goes to `log`, its errors to `log` with `.err`; ended with the block."""
    with (
        log.open("wb") as out,
        log.with_suffix(".err").open("wb") as err,
        subprocess.Popen(command, stdout=out, stderr=err, cwd=cwd) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def await_subscription(publisher: ZeroMQPublisher, process: subprocess.Popen[bytes], prefixes: int) -> None:
    """Until the program has subscribed to so many prefixes."""
    until(lambda: _polled(publisher) >= prefixes, process)


def _polled(publisher: ZeroMQPublisher) -> int:
    publisher.socket.poll(50, zmq.POLLIN)
    publisher.poll()
    return publisher.statistics().subscriptions


def until(true: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait for something while the program runs."""
    deadline = time.monotonic() + allowed(PATIENCE_SECONDS)
    while not true():
        assert process.poll() is None, f"the program ended: {process.returncode}"
        assert time.monotonic() < deadline, "it did not come"


def ended(process: subprocess.Popen[bytes]) -> int:
    """Its exit code, once it has ended by itself."""
    return process.wait(allowed(PATIENCE_SECONDS))
