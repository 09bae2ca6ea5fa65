"""`numbered_build` in workers whose wall clock steps by two hours every 0.4 s: an hour ahead, an hour behind."""

from __future__ import annotations

import time
from unittest import mock

_true_ns = time.time_ns
NS = 1_000_000_000


def stepping_ns() -> int:
    """Nanoseconds since 1970, give or take an hour."""
    return _true_ns() + 3600 * NS * (-1) ** (time.monotonic_ns() // (2 * NS // 5))


def stepping_seconds() -> float:
    """The same in seconds."""
    return stepping_ns() / NS


# Before anything that takes hold of the functions is imported.
mock.patch.object(time, "time_ns", stepping_ns).start()
mock.patch.object(time, "time", stepping_seconds).start()

from tests.pipeline.numbered_build import build_graph, build_publisher, build_sinks, open_source  # noqa: E402

__all__ = ["build_graph", "build_publisher", "build_sinks", "open_source"]
