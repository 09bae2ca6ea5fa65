"""Ctrl-C and SIGTERM: the first asks for an orderly end, the second breaks off whatever goes on."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Final, Self

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While entered, a first signal is remembered and told; a second raises `KeyboardInterrupt`."""

    def __init__(self, tell: Callable[[], None] = lambda: None) -> None:
        self._tell = tell
        self.received = 0  # the number of the first signal
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._take) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def asked(self) -> bool:
        """Whether an end was asked for."""
        return bool(self.received)

    @property
    def exit_code(self) -> int:
        """Of a program that the first signal has ended, as shells have it."""
        return 128 + self.received

    def _take(self, number: int, _: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = number
        self._tell()


@contextmanager
def unwinding_on_sigterm() -> Iterator[None]:
    """While it lasts, SIGTERM ends as Ctrl-C does: what is half written is removed on the way out, with code 143."""

    def unwind(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
