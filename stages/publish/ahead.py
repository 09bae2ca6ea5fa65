"""What coding polygons needs is loaded when they are first asked for, not when the first are due.

Loading OpenCV takes 50 ms, several times that from a cold disk, and would hold up every source's results. Most readers
subscribe before there are results, while the network loads, so that nothing is held up then.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from pipeline.wire import asked_prefix, topic_of
from pipeline.wire.polygons import load

_ANY = topic_of("", "masks.polygons")  # of a source, what stands behind its name
_LEAST = asked_prefix("")


class PolygonsAhead:
    """Loads in a thread, once."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def hear(self, prefixes: Iterable[bytes]) -> None:
        """Of what was subscribed; returns at once."""
        if self._thread is None and any(map(_asks, prefixes)):
            self._thread = threading.Thread(target=load, name="everyframe-polygons", daemon=True)
            self._thread.start()


def _asks(prefix: bytes) -> bool:
    """Whether a subscription brings polygons, of whatever source."""
    _, asked, kind = prefix.partition(_LEAST)
    return asked != b"" and _ANY.startswith(asked + kind)
