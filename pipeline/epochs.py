"""Epochs: numbers of a source's sessions that only ever grow, across restarts of everything."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import ConfigError

SETTING = "supervisor.state_directory"


def default_directory() -> Path:
    """Where state is kept unless the configuration says otherwise (the XDG base directory rules)."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "everyframe"


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
        try:
            text = path.read_text(encoding="ascii")
        except FileNotFoundError:
            return 0
        try:
            return int(text)
        except ValueError as exc:
            raise ConfigError(f"{SETTING}: {path} holds {text[:20]!r}, not an epoch; write the last one there") from exc

    def _write(self, path: Path, epoch: int) -> None:
        """Whole or not at all, and on the disk when this returns."""
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
