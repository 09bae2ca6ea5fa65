"""The folder that source files must lie in, where one is set."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.errors import AddressError


def check_within(path: Path, files_root: str, *, who: str) -> None:
    """Refuse a path that leads out of the root, every link on its way followed. Raises `AddressError`.

    A hard link is the file itself and cannot be told from it: who may write into the root can let files of the same
    disk in that way.
    """
    try:
        real = os.path.realpath(path)
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the name
        raise AddressError(f"{who}: {str(path)!r} cannot be looked up: {exc}") from None
    _refuse_outside(Path(real), files_root, who=who, shown=path)


def check_opened(descriptor: int, files_root: str, *, who: str, shown: Path) -> None:
    """The same of a file that is open, by where the kernel says it lies: no link can be put in the way any more.

    `shown` is what the message calls it.
    """
    _refuse_outside(Path(os.readlink(f"/proc/self/fd/{descriptor}")), files_root, who=who, shown=shown)


def _refuse_outside(real: Path, files_root: str, *, who: str, shown: Path) -> None:
    if not real.is_relative_to(os.path.realpath(files_root)):
        leads = "" if real == shown.absolute() else f" (it leads to {real})"
        raise AddressError(f"{who}: {shown}{leads} lies outside files_root; only files in {files_root} are taken")
