"""Epochs: numbers of a source's sessions that only ever grow, across restarts of everything."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.config import SourceConfig
from pipeline.errors import ConfigError

SETTING = "supervisor.state_directory"
LARGEST_EPOCH = 2**63 - 1  # what the wire carries

_EPOCH = re.compile(rb"\d{1,20}\s?")  # 20 digits as a full disk makes them
_READ_BYTES = 64  # a file that holds more is none of ours


def default_directory() -> Path:
    """Where state is kept unless the configuration says otherwise (the XDG base directory rules)."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "everyframe"


class Epochs:
    """Epochs of a run's sources: kept on the disk, but of recordings from 1, the same whenever it is run."""

    def __init__(self, directory: str | Path | None = None) -> None:
        self._directory = directory
        self._store: EpochStore | None = None
        self._of_recordings: Counter[str] = Counter()

    def open(self) -> EpochStore:
        """The store. Raises `ConfigError` where it cannot be kept."""
        self._store = self._store or EpochStore(self._directory)
        return self._store

    def issue(self, source: SourceConfig) -> int:
        """The next epoch of a source. Raises `ConfigError` where it cannot be written down."""
        if not source.offline:
            return self.open().issue(source.source_id)
        self._of_recordings[source.source_id] += 1
        return self._of_recordings[source.source_id]


class EpochStore:
    """One small file a source. An epoch is on the disk before it is used; a lock keeps two runs from sharing one."""

    def __init__(self, directory: str | Path | None = None) -> None:
        """Raises `ConfigError` where the directory cannot be made."""
        self._directory = (Path(directory) if directory else default_directory()) / "epochs"
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise ConfigError(
                f"{SETTING}: {self._directory} cannot be made ({exc.strerror}); name a folder that can be written"
            ) from exc

    def issue(self, source_id: str) -> int:
        """The next epoch of a source. Raises `ConfigError` where it cannot be written down."""
        path = self._directory / f"{source_id}.epoch"
        try:
            with self._locked():
                epoch = self._read(path) + 1
                self._write(path, epoch)
        except OSError as exc:
            raise ConfigError(
                f"{SETTING}: {path} cannot be written ({exc.strerror}); without it epochs could repeat"
            ) from exc
        return epoch

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = os.open(self._directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    @staticmethod
    def _read(path: Path) -> int:
        """The last epoch; 0 where there was none. Raises `ConfigError` for what cannot be one, or has no next."""
        try:
            with path.open("rb") as file:
                written = file.read(_READ_BYTES)
        except FileNotFoundError:
            return 0
        if not _EPOCH.fullmatch(written) or int(written) >= LARGEST_EPOCH:
            raise ConfigError(
                f"{SETTING}: {path} holds {written[:20]!r}, not an epoch (0 to {LARGEST_EPOCH - 1}); "
                "write the last one there"
            )
        return int(written)

    def _write(self, path: Path, epoch: int) -> None:
        """On the disk when this returns. A camera must find its way back while the disk is full, too."""
        try:
            self._replace(path, epoch)
        except OSError as exc:
            if exc.errno not in (errno.ENOSPC, errno.EDQUOT) or not path.exists():
                raise
            _overwrite(path, epoch)

    def _replace(self, path: Path, epoch: int) -> None:
        """Whole or not at all."""
        temporary = path.with_name(f".{path.name}.new")
        with open(temporary, "w", encoding="ascii") as file:
            file.write(f"{epoch}\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        directory = os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _overwrite(path: Path, epoch: int) -> None:
    """In the room that the file has already: one sector, which a disk writes as a whole."""
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(file, f"{epoch:020d}\n".encode(), 0)
        os.fsync(file)
    finally:
        os.close(file)
