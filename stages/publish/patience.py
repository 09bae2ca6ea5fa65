"""Waiting for what the publisher of an earlier run, killed or just ending, is letting go of: an address, a lock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from pipeline.errors import InUse

SECONDS: Final = 5.0  # what an orphaned publisher may take to notice, and to close its files
BETWEEN_SECONDS: Final = 0.05

Taken = TypeVar("Taken")


def once_free(take: Callable[[], Taken], *, seconds: float | None = None) -> Taken:
    """What `take` gives, tried anew while it raises `InUse`. Raises the last `InUse` after so many seconds."""
    until = time.monotonic() + (SECONDS if seconds is None else seconds)
    while True:
        try:
            return take()
        except InUse:
            if time.monotonic() >= until:
                raise
        time.sleep(BETWEEN_SECONDS)
