"""Exports of a finished recording, as far as the runtime knows them: who makes them, and which are not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pipeline.config import SourceConfig


class ExportRecording(Protocol):
    """Makes exports; `pipeline.build.export_recording`, or a test's."""

    def __call__(
        self,
        names: Sequence[str],
        *,
        results: Path,
        folder: Path,
        video: Path | Sequence[Path],
        source: SourceConfig,
        tell: Callable[[int, int | None], None],
        stopping: Callable[[], bool],
    ) -> None:
        """Every file whole in `folder`, or, when `stopping` says so, not at all.

        Raises `ConfigError`, `SinkError`, `SourceError`, `WireError`.
        """


def missing(files: Mapping[str, Sequence[str]], folder: Path) -> list[str]:
    """Those exports of which a file is not in `folder`; `files` by export, as `pipeline.build.export_files` has them.

    They appear whole, so one that is there is done. A recording without any result has no video.
    """
    return [name for name, own in files.items() if not all(_is_there(folder, file) for file in own)]


def _is_there(folder: Path, file: str) -> bool:
    return (folder / file).is_dir() if file.endswith("/") else (folder / file).is_file()
