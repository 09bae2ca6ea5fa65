"""What other threads want done in the supervisor's thread, and its answers."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from pipeline.errors import EveryframeError

Answer = TypeVar("Answer")


class Errands:
    """A queue that wakes an event loop. `ask` may be called from any thread, the rest from the loop's alone."""

    def __init__(self) -> None:
        self._woken = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._asked: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._closed = False
        self._closing = threading.Lock()  # a descriptor that is closed may be somebody else's next

    def fileno(self) -> int:
        """What the loop polls."""
        return self._woken

    def wake(self) -> None:
        """Have the loop look around."""
        with self._closing:
            if not self._closed:
                os.eventfd_write(self._woken, 1)

    def ask(self, errand: Callable[[], Answer]) -> Future[Answer]:
        """Have something done; what it returns or raises is the future's."""
        future: Future[Answer] = Future()
        self._asked.append((errand, future))
        if self._closed:
            self._refuse()
        self.wake()
        return future

    def run(self) -> None:
        """Do what was asked for."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._woken)
        while self._asked:
            errand, future = self._asked.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(errand())
            except Exception as exc:  # noqa: BLE001 - whatever it is, it is the asker's
                future.set_exception(exc)

    def close(self) -> None:
        """Nothing is done any more; who asks is told so."""
        with self._closing:
            self._closed = True
            os.close(self._woken)
        self._refuse()

    def _refuse(self) -> None:
        while self._asked:
            with suppress(IndexError):
                _, future = self._asked.popleft()
                if future.set_running_or_notify_cancel():
                    future.set_exception(EveryframeError("the pipeline has stopped"))
