"""Results in somebody else's schema, a message a line of JSON."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pipeline.messages import Item, Surface
from stages.publish.formats import FORMATS
from stages.publish.jsonl import LineFile


class ExportSink:
    """Writes one file in one of `FORMATS`, in place of any that is there."""

    needs_surface: Literal[False] = False

    def __init__(self, name: str, path: str | os.PathLike[str]) -> None:
        """`name` is a key of `FORMATS`. Raises `SinkError` where the file cannot be written."""
        self.name = f"export-{name}"
        self._conversion = FORMATS[name]()
        self._file = LineFile(Path(path), option="--export")
        self._closed = False

    def write(self, item: Item, surface: Surface | None = None) -> None:
        """Append what the item comes to in this schema. Raises `SinkError`."""
        self._append(self._conversion.messages(item))

    def close(self) -> None:
        """Write what is left to say, and close the file. Calling it twice does no harm. Raises `SinkError`."""
        if self._closed:
            return
        self._closed = True
        try:
            self._append(self._conversion.last())
        finally:
            self._file.close()

    def _append(self, messages: Iterator[dict[str, Any]]) -> None:
        for message in messages:
            self._file.write(message)
