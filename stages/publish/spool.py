"""A bounded queue on disk: append-only files of checksummed records, taken from in order, that outlive the process.

A record is a length and a CRC-32 of four bytes each, then its bytes. What a kill cut off, or a disk damaged, ends its
file early. Nothing is forced to the platter: a power cut may take the last seconds. What was taken is noted in
`position` right after, so that little is handed out twice after a kill; who takes must bear that little.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from pipeline.errors import InUse, SinkError
from stages.publish.patience import once_free
from stages.publish.record import Record, decode_record, encode_record

PARTS = 16  # files the bound is cut into: so much of it goes at once when it is full
SMALLEST_PART_BYTES = 16 * 1024
MOST_CARRIED = 10_000  # records that an epoch is over, kept of files that went
READ_AT_ONCE = 64  # records
LARGEST_RECORD_BYTES = 1 << 30
SETTING = "redis.spool_directory"

_HEAD = struct.Struct("<II")  # length, CRC-32
_POSITION = struct.Struct("<QQI")  # file, offset, CRC-32 of both


class Spool:
    """Not for several threads. A lock keeps a second process away."""

    def __init__(self, directory: Path, *, most_bytes: int) -> None:
        """Raises `SinkError` where it cannot be had."""
        self._directory, self._most_bytes = directory, most_bytes
        self._part_bytes = max(SMALLEST_PART_BYTES, most_bytes // PARTS)
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = once_free(lambda: _locked(directory / "lock"))
            self._position = os.open(directory / "position", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._sizes = {int(path.stem): path.stat().st_size for path in sorted(directory.glob("*.spool"))}
            self._reading, self._offset = self._remembered()
            self._remember()  # from now on it has its room, however full the disk
        except OSError as exc:
            raise SinkError(f"{SETTING}: {directory} cannot be used ({exc.strerror}); name another folder") from exc
        self._writing: BinaryIO | None = None
        self._ahead: deque[tuple[Record, int, int]] = deque()  # read and not taken, with the file and where each ends
        self._ahead_part, self._ahead_at = self._reading, self._offset
        self._carried = self._read_carried()
        self.records = len(self._carried) + sum(self._count(part) for part in self._sizes)  # that wait
        self.damaged = 0  # files that ended early
        self.failure = ""  # the last of the disk's

    @property
    def size(self) -> int:
        """Bytes on the disk; what was taken of the oldest file is left out."""
        return sum(self._sizes.values()) - (self._offset if self._reading in self._sizes else 0)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._carried and not self.peek(1)

    def append(self, record: Record) -> list[Record]:
        """Put behind all others; the records that were lost for it: the oldest, or itself where the disk is full."""
        body = encode_record(record)
        framed = _HEAD.pack(len(body), zlib.crc32(body)) + body
        lost: list[Record] = []
        try:
            while self.size + len(framed) > self._most_bytes and self._sizes:
                lost += self._drop_oldest()
            self._write(framed)
            self.records += 1
        except OSError as exc:
            self.failure = f"{self._directory}: {exc.strerror}"
            lost.append(record)
        return lost

    def peek(self, most: int) -> list[Record]:
        """The oldest, up to so many; they stay until `advance`."""
        carried = self._carried[:most]
        while len(carried) + len(self._ahead) < most and self._read_on():
            continue
        return carried + [self._ahead[i][0] for i in range(min(most - len(carried), len(self._ahead)))]

    def advance(self, count: int) -> None:
        """Forget the oldest so many of those that `peek` gave."""
        carried = min(count, len(self._carried))
        self.records -= count
        if carried:
            self._carried = self._carried[carried:]
            with suppress(OSError):  # a full disk: they come again after a restart, which does no harm
                self._write_carried()
        for _ in range(count - carried):
            _, self._reading, self._offset = self._ahead.popleft()
        for part in [part for part in self._sizes if part < self._reading]:
            self._remove(part)
        if not self._ahead and not self._read_on():
            self._clear()
        self._remember()

    def close(self) -> None:
        """Let go of the files; what waits stays there. Calling it twice does no harm."""
        if self._lock < 0:
            return
        if self._writing is not None:
            self._writing.close()
        os.close(self._position)
        os.close(self._lock)
        self._lock = -1

    # Writing

    def _write(self, framed: bytes) -> None:
        newest = max(self._sizes, default=self._reading)
        if self._writing is None or self._sizes[newest] + len(framed) > self._part_bytes:
            if self._writing is not None:
                self._writing.close()
                self._writing = None
            newest = newest + 1
            self._writing = self._path(newest).open("wb", buffering=0)
            self._sizes[newest] = 0
        size = self._sizes[newest]
        try:
            written = self._writing.write(framed)
            if written < len(framed):
                written += self._writing.write(framed[written:])
        except OSError:
            self._writing.truncate(size)
            self._writing.seek(size)
            raise
        self._sizes[newest] = size + len(framed)

    def _drop_oldest(self) -> list[Record]:
        """Make room: the oldest file goes, but for what it says of epochs that are over."""
        oldest = min(self._sizes)
        offset = self._offset if oldest == self._reading else 0
        gone = [record for record, _ in _records_of(self._path(oldest), offset)]
        lost = [record for record in gone if record.type != "over"]
        self._carried = [*self._carried, *(record for record in gone if record.type == "over")][-MOST_CARRIED:]
        self.records -= len(lost)
        self._write_carried()
        self._remove(oldest)
        self._ahead.clear()
        self._reading, self._offset = min(self._sizes, default=oldest), 0
        self._ahead_part, self._ahead_at = self._reading, 0
        self._remember()
        return lost

    def _remove(self, part: int) -> None:
        if self._writing is not None and part == max(self._sizes):
            self._writing.close()
            self._writing = None
        self._path(part).unlink(missing_ok=True)
        del self._sizes[part]

    def _clear(self) -> None:
        """Everything was taken."""
        self._reading, self._offset = max(self._sizes, default=self._reading), 0
        self._ahead_part, self._ahead_at = self._reading, 0
        for part in list(self._sizes):
            self._remove(part)

    # Reading

    def _read_on(self) -> bool:
        """Read a few more ahead; whether there were any."""
        while True:
            later = [part for part in self._sizes if part > self._ahead_part]
            if self._ahead_part in self._sizes:
                found = list(_records_of(self._path(self._ahead_part), self._ahead_at, most=READ_AT_ONCE))
                if found:
                    self._ahead.extend((record, self._ahead_part, end) for record, end in found)
                    self._ahead_at = found[-1][1]
                    return True
                self.damaged += bool(later) and self._ahead_at < self._sizes[self._ahead_part]
            if not later:
                return False
            self._ahead_part, self._ahead_at = min(later), 0

    def _count(self, part: int) -> int:
        """Records of a file that were not taken, by their lengths alone."""
        offset, count = (self._offset if part == self._reading else 0), 0
        with self._path(part).open("rb") as file:
            while offset < self._sizes[part]:
                file.seek(offset)
                head = file.read(_HEAD.size)
                if len(head) < _HEAD.size:
                    break
                offset += _HEAD.size + _HEAD.unpack(head)[0]
                count += offset <= self._sizes[part]
        return count

    # What is kept beside the records

    def _remember(self) -> None:
        body = struct.pack("<QQ", self._reading, self._offset)
        os.pwrite(self._position, body + struct.pack("<I", zlib.crc32(body)), 0)

    def _remembered(self) -> tuple[int, int]:
        stored = os.pread(self._position, _POSITION.size, 0)
        oldest = min(self._sizes, default=0)
        if len(stored) == _POSITION.size:
            part, offset, crc = _POSITION.unpack(stored)
            if crc == zlib.crc32(stored[:-4]) and part in self._sizes:
                return part, offset
        return oldest, 0

    def _read_carried(self) -> list[Record]:
        return [record for record, _ in _records_of(self._directory / "carried", 0)]

    def _write_carried(self) -> None:
        path = self._directory / "carried"
        if not self._carried:
            path.unlink(missing_ok=True)
            return
        bodies = [encode_record(record) for record in self._carried]
        temporary = path.with_suffix(".new")
        temporary.write_bytes(b"".join(_HEAD.pack(len(body), zlib.crc32(body)) + body for body in bodies))
        os.replace(temporary, path)

    def _path(self, part: int) -> Path:
        return self._directory / f"{part:016d}.spool"


def _records_of(path: Path, offset: int, *, most: int = 1 << 62) -> Iterator[tuple[Record, int]]:
    """Records of a file from an offset on, each with where it ends, as far as they are whole."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(offset)
        for _ in range(most):
            head = file.read(_HEAD.size)
            if len(head) < _HEAD.size:
                return
            length, crc = _HEAD.unpack(head)
            body = file.read(length) if length <= LARGEST_RECORD_BYTES else b""
            if len(body) < length or zlib.crc32(body) != crc:
                return
            try:
                record = decode_record(body)
            except msgspec.DecodeError:  # of another version of everyframe
                return
            offset += _HEAD.size + length
            yield record, offset


def _locked(path: Path) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(lock)
        raise InUse(
            f"{SETTING}: {path.parent} is in use by another run; give each its own supervisor.name, or its own folder"
        ) from exc
    return lock
