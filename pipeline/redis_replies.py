"""Replies of Redis that fit into memory: a text of them that is too large is read past, not kept.

The client library makes of every text a server announces as many bytes, up to the 512 MB that Redis takes of whoever
may write. `Oversized` stands in its place, so that the entry it belongs to can be counted, put aside and left behind.
"""

from __future__ import annotations

from functools import cache
from typing import Any

LARGEST_BYTES = 64 * 1024 * 1024  # as `pipeline.wire.Limits` has it for a message
CHUNK_BYTES = 1 << 20
END_BYTES = 2  # carriage return, line feed


class Oversized(bytes):
    """No bytes, in place of `size` of them."""

    size: int

    @classmethod
    def of(cls, size: int) -> Oversized:
        """In place of so many bytes."""
        made = cls()
        made.size = size
        return made


@cache
def bounded_parser(most_bytes: int) -> type[Any]:
    """A parser of the client library, in Python, that keeps no text of more than so many bytes."""
    from redis._parsers import _RESP2Parser
    from redis._parsers.socket import SocketBuffer

    class BoundedBuffer(SocketBuffer):
        def read(self, length: int, *arguments: Any, **keywords: Any) -> bytes:
            if length <= most_bytes:
                return super().read(length, *arguments, **keywords)
            left = length + END_BYTES
            left -= len(self._buffer.read(left))
            while left > 0:
                # All that was received is read by now: what comes goes to the front of an empty buffer.
                self._buffer.seek(0)
                self._buffer.truncate()
                self._read_from_socket(min(left, CHUNK_BYTES), *arguments, **keywords)
                left -= len(self._buffer.read(left))
            return Oversized.of(length)

    class BoundedParser(_RESP2Parser):
        def on_connect(self, connection: Any) -> None:
            super().on_connect(connection)  # type: ignore[no-untyped-call]
            self._buffer = BoundedBuffer(connection._sock, self.socket_read_size, connection.socket_timeout)

    return BoundedParser
