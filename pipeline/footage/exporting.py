"""Exports of a finished recording, as far as the runtime knows them: which are not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


def missing(files: Mapping[str, Sequence[str]], folder: Path) -> list[str]:
    """Those exports of which a file is not in `folder`; `files` by export, as `pipeline.build.export_files` has them.

    They appear whole, so one that is there is done. A recording without any result has no video.
    """
    return [name for name, own in files.items() if not all(_is_there(folder, file) for file in own)]


def _is_there(folder: Path, file: str) -> bool:
    return (folder / file).is_dir() if file.endswith("/") else (folder / file).is_file()
