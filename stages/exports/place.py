"""Files and folders that appear whole: written beside under a hidden name, brought to the disk, renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import SinkError


class Part:
    """A file or folder in the making."""

    def __init__(self, path: Path) -> None:
        """`path`: where it belongs. What an earlier run left half made is removed. Raises `SinkError`."""
        self.path = path
        self.part = path.with_name(f".{path.name}.part")
        self._old = path.with_name(f".{path.name}.old")
        with written(path):
            self.discard()

    def into_place(self, *, check: Callable[[], None] = lambda: None) -> None:
        """Have it appear, in place of what was there; `check` is called for each file of many. Raises `SinkError`."""
        with written(self.path):
            for at, _, names in os.walk(self.part):
                for name in names:
                    check()
                    to_disk(Path(at, name))
                to_disk(Path(at))
            if not self.part.is_dir():
                to_disk(self.part)
            elif self.path.exists():  # a folder cannot be renamed over another
                self.path.rename(self._old)
            self.part.rename(self.path)
            to_disk(self.path.parent)
            _remove(self._old)

    def discard(self) -> None:
        """Remove what is not in place. Calling it twice does no harm."""
        _remove(self.part)
        if self._old.exists() and not self.path.exists():  # ended between the two renames
            self._old.rename(self.path)
        _remove(self._old)


@contextmanager
def written(path: Path) -> Iterator[None]:
    """The system's errors as `SinkError`, naming the file."""
    try:
        yield
    except OSError as exc:
        reason = exc.strerror or exc
        raise SinkError(f"{path}: cannot be written: {reason}; free or choose another place with --output") from exc


def to_disk(path: Path) -> None:
    """Wait until the disk has it. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
