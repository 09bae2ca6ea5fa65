"""Files of foreign label sets: found, paired, and read with a bound."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from pipeline.errors import DataError

MOST_TEXT_BYTES: Final = 1 << 24
MOST_FILES: Final = 10_000_000


def check_file(path: Path, most: int | None = None) -> None:
    """Refuse what is no plain file (a pipe would be waited for), or longer than `most` bytes. Raises `DataError`."""
    try:
        status = path.stat()
    except (OSError, ValueError) as exc:
        raise DataError(f"{path}: cannot be read: {getattr(exc, 'strerror', None) or exc}") from exc
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path}: is no file")
    if most is not None and status.st_size > most:
        raise DataError(f"{path}: {status.st_size} bytes; at most {most} are read")


def read_bounded(path: Path, most: int) -> bytes:
    """A plain file of at most so many bytes. Raises `DataError`."""
    check_file(path, most)
    try:
        return path.read_bytes()
    except OSError as exc:
        raise DataError(f"{path}: cannot be read: {exc.strerror or exc}") from exc


def read_text(path: Path) -> str:
    """A text file in UTF-8. Raises `DataError`."""
    try:
        return read_bounded(path, MOST_TEXT_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise DataError(f"{path}: is no text in UTF-8: {exc}") from exc


def list_files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Files in a folder and all in it whose names end so, by name; hidden ones are left out.

    Raises:
        DataError: when there is no such folder, or too much in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder")
    found = []
    for path in folder.rglob("*"):
        if path.name.lower().endswith(endings) and not path.name.startswith("."):
            found.append(path)
            if len(found) > MOST_FILES:
                raise DataError(f"{folder}: more than {MOST_FILES} files; name a folder with fewer")
    return sorted(found)


def inside(folder: Path, name: str, *, labels: Path) -> Path:
    """The file that a label names, within the folder. Raises `DataError` for a name that leads out of it."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or parts[0].startswith("/") or ".." in parts or "\0" in name:
        raise DataError(f"{labels}: {name!r} is no file name within {folder}")
    return folder.joinpath(*parts)


def present(paths: Sequence[Path]) -> list[bool]:
    """Which of these files are there, by one look into each folder."""
    there = {folder: _names(folder) for folder in {path.parent for path in paths}}
    return [path.name in there[path.parent] for path in paths]


def look_for(paths: Sequence[Path], *, labels: Path, what: str, skip: bool = False) -> tuple[list[bool], list[str]]:
    """`present`, and a remark on what is not. Raises `DataError` where it is not skipped, as `missing_note`."""
    there = present(paths)
    missing = [str(path) for path, found in zip(paths, there, strict=True) if not found]
    return there, missing_note(missing, of=len(paths), labels=labels, what=what, skip=skip)


def missing_note(missing: Sequence[str], *, of: int, labels: Path, what: str, skip: bool) -> list[str]:
    """A remark that names them, where they are skipped.

    Args:
        missing: names of what is not there.
        of: how many there should be.
        labels: the file or folder that needs them.
        what: what they are.
        skip: whether the recipe says to go on without.

    Raises:
        DataError: where they are not skipped.
    """
    if not missing:
        return []
    text = f"{labels}: {len(missing)} of {of} {what} are not there: {first_few(missing)}"
    if not skip:
        raise DataError(f"{text} (missing: skip leaves them out)")
    return [text]


def first_few(names: Sequence[str], most: int = 3) -> str:
    """``a, b, c and 4 more``."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _names(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except OSError:
        return set()
