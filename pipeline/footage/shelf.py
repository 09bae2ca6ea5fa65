"""Where results of recordings lie: a folder each, which is there whole or not at all.

What is being worked on lies in hidden folders: `.NAME.part` has the pieces that were looked at, which the next run
goes on with, `.NAME.new` the results, which take their place by one rename, after everything in it and its mark,
`done.json`, are on the disk. The mark says of which bytes and by which settings the results are: others are made anew.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pipeline.errors import SinkError
from pipeline.footage.files import failed, to_disk, write_whole

MARK = "done.json"
PLAN = "plan.json"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A file that results were made of."""

    size: int  # bytes
    mtime_ns: int  # when it was last written
    began: str = ""  # as it was told


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What results were made of."""

    files: tuple[Seen, ...]
    settings: str  # a digest of all that decides what comes out


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What there was in a recording."""

    frames: int = 0
    results: int = 0
    undecoded: int = 0  # packets that gave no picture
    damaged: int = 0  # pictures in which something was guessed


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The mark of results. `refused`: segments that could not be read, and why; `lacks`: the next run may read them."""

    source: str  # as it was given
    origin: Origin
    counts: Counts
    refused: tuple[str, ...] = ()
    lacks: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Where somebody works on results."""

    pieces: Path  # files of pieces, which the next run goes on with
    results: Path  # made anew by each run


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
            raise failed(self.directory, exc) from exc
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(descriptor)
            raise SinkError(f"{self.directory}: another run writes here; wait for it, or name another folder") from exc
        try:
            yield
        finally:
            os.close(descriptor)

    def folder_of(self, name: str) -> Path:
        """Where the results of a name lie, once they do."""
        return self.directory / name

    def done(self, name: str, origin: Origin) -> Done | None:
        """The mark of results that are there and of this origin; None where they must be made."""
        try:
            mark = msgspec.json.decode((self.folder_of(name) / MARK).read_bytes(), type=Done)
        except (OSError, msgspec.DecodeError):
            return None
        return mark if mark.origin == origin and not mark.lacks else None

    def begin(self, name: str, origin: Origin) -> Part:
        """Folders to work in, with the pieces that a run before left, if they are of this origin.

        Raises `SinkError`, also where something else lies at the target.
        """
        part, new, target = self._hidden(name, "part"), self._hidden(name, "new"), self.folder_of(name)
        if target.exists() and not (target / MARK).is_file():
            raise SinkError(f"{target}: this is there and has no {MARK}; move it, or name another folder with --output")
        plan = part / PLAN
        try:
            if _origin_in(plan) != origin:
                _remove(part)
                (part / "pieces").mkdir(parents=True)
                write_whole(plan, msgspec.json.encode(origin))
            for left in (new, self._hidden(name, "old")):
                _remove(left)
            new.mkdir()
        except OSError as exc:
            raise failed(part, exc) from exc
        return Part(part / "pieces", new)

    def finish(self, name: str, mark: Done) -> None:
        """What was written takes its place, in place of what was there. Raises `SinkError`."""
        new, target, old = self._hidden(name, "new"), self.folder_of(name), self._hidden(name, "old")
        try:
            (new / MARK).write_bytes(msgspec.json.format(msgspec.json.encode(mark), indent=1) + b"\n")
            for path in (*new.iterdir(), new):
                to_disk(path)
            if target.exists():
                target.rename(old)
            new.rename(target)
            to_disk(self.directory)
        except OSError as exc:
            raise failed(target, exc) from exc
        for left in (old,) if mark.lacks else (old, self._hidden(name, "part")):
            shutil.rmtree(left, ignore_errors=True)

    def leave(self, name: str) -> None:
        """Throw away what was written of results; pieces stay for the next run."""
        shutil.rmtree(self._hidden(name, "new"), ignore_errors=True)

    def give_up(self, name: str) -> None:
        """Throw away all that was begun."""
        self.leave(name)
        shutil.rmtree(self._hidden(name, "part"), ignore_errors=True)

    def write(self, name: str, content: bytes) -> None:
        """A file beside the folders, whole or not at all. Raises `SinkError`."""
        write_whole(self.directory / name, content)

    def _hidden(self, name: str, kind: str) -> Path:
        return self.directory / f".{name}.{kind}"


def _origin_in(plan: Path) -> Origin | None:
    try:
        return msgspec.json.decode(plan.read_bytes(), type=Origin)
    except (OSError, msgspec.DecodeError):
        return None


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
