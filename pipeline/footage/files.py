"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.errors import SinkError


def write_whole(path: Path, content: bytes) -> None:
    """By way of a hidden file beside it, and a rename once all of it is on the disk. Raises `SinkError`."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        to_disk(part)
        part.rename(path)
    except OSError as exc:
        raise failed(path, exc) from exc


def to_disk(path: Path) -> None:
    """Until a file, or the names in a folder, are there whatever happens."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def failed(path: Path, error: OSError) -> SinkError:
    """What is told of it."""
    return SinkError(f"{path}: cannot be written: {error.strerror}; free or choose another place with --output")
