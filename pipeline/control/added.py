"""The sources that were added to a pipeline while it ran: kept for its next start.

One small file a pipeline, its owner's alone (mode 0600). Addresses are kept as they were given: what is written
``${NAME}`` stays so; a password stands in the file only if it stood in the address.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from pipeline.config import SourceConfig
from pipeline.epochs import default_directory
from pipeline.errors import ConfigError

SETTING = "supervisor.state_directory"
MOST_BYTES = 4 << 20


class AddedSources:
    """The file of the pipeline of one name. Used by one thread at a time."""

    def __init__(self, name: str, directory: str | Path | None = None) -> None:
        """`directory`: where state is kept; the default place unless given."""
        base = Path(directory) if directory else default_directory()
        self.path = base / "pipelines" / f"{name}.json"

    def load(self) -> dict[str, SourceConfig]:
        """The sources by name. Raises `ConfigError` where the file cannot be read."""
        try:
            if self.path.stat().st_size > MOST_BYTES:
                raise ConfigError(f"{SETTING}: {self.path} is larger than {MOST_BYTES} bytes; remove it")
            sources = msgspec.json.decode(self.path.read_bytes(), type=list[SourceConfig])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise ConfigError(
                f"{SETTING}: {self.path}, the sources added while running, cannot be read; mend or remove it"
            ) from exc
        return {source.source_id: source for source in sources}

    def save(self, sources: Iterable[SourceConfig]) -> None:
        """Keep these, whole or not at all, on the disk when this returns. Raises `ConfigError`."""
        try:
            self._write(msgspec.json.format(msgspec.json.encode(list(sources)), indent=1) + b"\n")
        except OSError as exc:
            raise ConfigError(f"{SETTING}: {self.path} cannot be written ({exc.strerror})") from exc

    def _write(self, data: bytes) -> None:
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self.path.with_name(f".{self.path.name}.new")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.path)
        directory = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
