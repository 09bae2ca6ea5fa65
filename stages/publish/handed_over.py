"""How far each source was when its last item was handed over, in a file that a killed process leaves behind.

What waits in memory dies with the process, and whoever comes next cannot know what that was. This tells it up to where
there was something, so that the difference can be declared.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import SinkError

_SLOT = struct.Struct("<64sQQI")  # source, epoch, frames of it, CRC-32 of these
_MOST_BYTES = 1 << 24  # that are read: more sources than anybody has


class Mark(NamedTuple):
    """Of a source's newest epoch so many frames, the first ones."""

    epoch: int
    frames: int


class HandedOver:
    """A slot a source, written over with every item by one plain system call. For one thread."""

    def __init__(self, path: Path) -> None:
        """Raises `SinkError` where the file cannot be had."""
        self._slots: dict[str, int] = {}
        self.left: dict[str, Mark] = {}  # by earlier processes
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            written = os.pread(self._file, _MOST_BYTES, 0)
        except OSError as exc:
            raise SinkError(f"{path} cannot be used ({exc.strerror}); name another redis.spool_directory") from exc
        for at in range(0, len(written) - _SLOT.size + 1, _SLOT.size):
            body = written[at : at + _SLOT.size]
            source, epoch, frames, check = _SLOT.unpack(body)
            if zlib.crc32(body[:-4]) == check:
                source_id = source.rstrip(b"\0").decode("ascii", "replace")
                self._slots[source_id], self.left[source_id] = at, Mark(epoch, frames)
        self._end = -(-len(written) // _SLOT.size) * _SLOT.size  # a damaged slot is not used again

    def note(self, source_id: str, mark: Mark) -> None:
        """An item is handed over, with which the source is so far. Raises `OSError`."""
        at = self._slots.get(source_id)
        if at is None:
            at = self._slots[source_id] = self._end
            self._end += _SLOT.size
        body = _SLOT.pack(source_id.encode(), *mark, 0)[:-4]
        os.pwrite(self._file, body + zlib.crc32(body).to_bytes(4, "little"), at)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
