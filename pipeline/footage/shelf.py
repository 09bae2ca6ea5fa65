"""Where results of recordings lie: a folder each, which is there whole or not at all.

What is being worked on lies in a hidden folder beside, and takes its place by one rename, after everything in it and
its mark, `done.json`, are on the disk. The mark says of which bytes and by which settings the results are: others are
made anew. What a run that was ended left half done is thrown away by the next.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pipeline.errors import SinkError
from pipeline.footage.listing import Recording

MARK = "done.json"


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What results were made of."""

    size: int  # bytes of the file
    mtime_ns: int  # when it was last written
    settings: str  # a digest of all that decides what comes out
    began: str = ""  # as it was told


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What there was in a recording."""

    frames: int = 0
    results: int = 0
    undecoded: int = 0  # packets that gave no picture
    damaged: int = 0  # pictures in which something was guessed


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A recording's mark."""

    source: str  # as it was given
    origin: Origin
    counts: Counts


class Shelf:
    """The folder of all results."""

    def __init__(self, directory: Path) -> None:
        """It is made when something is written. Raises `SinkError` where it cannot be one."""
        self.directory = directory
        if directory.exists() and not directory.is_dir():
            raise SinkError(f"{directory}: this is no folder; name another with --output")

    @contextmanager
    def held(self) -> Iterator[None]:
        """For one run at a time; however the process ends, the system lets go of it. Raises `SinkError`."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.directory, os.O_RDONLY)
        except OSError as exc:
            raise _failed(self.directory, exc) from exc
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(descriptor)
            raise SinkError(f"{self.directory}: another run writes here; wait for it, or name another folder") from exc
        try:
            yield
        finally:
            os.close(descriptor)

    def folder_of(self, recording: Recording) -> Path:
        """Where its results lie, once they do."""
        return self.directory / recording.name

    def done(self, recording: Recording, origin: Origin) -> Done | None:
        """The mark of results that are there and of this origin; None where they must be made."""
        try:
            mark = msgspec.json.decode((self.folder_of(recording) / MARK).read_bytes(), type=Done)
        except (OSError, msgspec.DecodeError):
            return None
        return mark if mark.origin == origin else None

    def begin(self, recording: Recording) -> Path:
        """An empty folder to write its results into. Raises `SinkError`, also where something else lies there."""
        part, target = self._hidden(recording, "part"), self.folder_of(recording)
        if target.exists() and not (target / MARK).is_file():
            raise SinkError(f"{target}: this is there and has no {MARK}; move it, or name another folder with --output")
        try:
            for left in (part, self._hidden(recording, "old")):
                if left.exists():
                    shutil.rmtree(left)
            part.mkdir()
        except OSError as exc:
            raise _failed(part, exc) from exc
        return part

    def finish(self, recording: Recording, mark: Done) -> None:
        """What was written takes its place, in place of what was there. Raises `SinkError`."""
        part, target, old = self._hidden(recording, "part"), self.folder_of(recording), self._hidden(recording, "old")
        try:
            (part / MARK).write_bytes(msgspec.json.format(msgspec.json.encode(mark), indent=1) + b"\n")
            for path in (*part.iterdir(), part):
                _to_disk(path)
            if target.exists():
                target.rename(old)
            part.rename(target)
            _to_disk(self.directory)
            shutil.rmtree(old, ignore_errors=True)
        except OSError as exc:
            raise _failed(target, exc) from exc

    def give_up(self, recording: Recording) -> None:
        """Throw away what was begun."""
        shutil.rmtree(self._hidden(recording, "part"), ignore_errors=True)

    def write(self, name: str, content: bytes) -> None:
        """A file beside the folders, whole or not at all. Raises `SinkError`."""
        path, part = self.directory / name, self.directory / f".{name}.part"
        try:
            part.write_bytes(content)
            _to_disk(part)
            part.rename(path)
        except OSError as exc:
            raise _failed(path, exc) from exc

    def _hidden(self, recording: Recording, kind: str) -> Path:
        return self.directory / f".{recording.name}.{kind}"


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(path: Path, error: OSError) -> SinkError:
    return SinkError(f"{path}: cannot be written: {error.strerror}; free or choose another place with --output")
