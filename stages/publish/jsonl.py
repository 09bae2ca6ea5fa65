"""Results as JSON lines.

`results.jsonl` holds a line ``{"type": "result", ...}`` for each result, and at its place ``{"type": "gap", ...}`` for
each gap, so that every frame of a source is in the file. The lines of one source are in order and the same, byte for
byte, whenever the same file is analysed with the same settings on the same machine; lines of several sources
interleave as they came. `timings.jsonl` holds what varies from run to run. Both can be followed while they grow: a
line is written whole or not at all.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import msgspec

from pipeline.errors import SinkError
from pipeline.messages import FrameResult, Gap, SourceStatus, Surface
from pipeline.wire import item_to_json


class LineFile:
    """A file of JSON lines, each written at once. Raises `SinkError` naming the file."""

    def __init__(self, path: Path, *, option: str = "--output") -> None:
        """`option` chooses the place; what the message of a disk that is full names."""
        self.path, self._option = path, option
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb", buffering=0)
        except OSError as exc:
            raise self._error(exc) from exc

    def write(self, values: dict[str, Any]) -> None:
        """Append one line; if the disk does not take all of it, none of it stays."""
        if self._file.closed:
            raise SinkError(f"{self.path}: cannot be written: it is closed")
        line = msgspec.json.encode(values) + b"\n"
        start = self._file.tell()
        try:
            written = 0
            while written < len(line):
                written += self._file.write(line[written:])
        except OSError as exc:
            with suppress(OSError):  # a device or a pipe cannot take back what it has
                self._file.seek(start)
                self._file.truncate(start)
            raise self._error(exc) from exc

    def close(self) -> None:
        """Close the file. Calling it twice does no harm."""
        self._file.close()

    def _error(self, exc: OSError) -> SinkError:
        mend = f"free or choose another place with {self._option}"
        return SinkError(f"{self.path}: cannot be written: {exc.strerror}; {mend}")


class JsonLinesSink:
    """Writes `results.jsonl` and `timings.jsonl` into a folder, in place of any that are there."""

    name: Literal["jsonl"] = "jsonl"
    needs_surface: Literal[False] = False

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        """`directory` is made if need be. Raises `SinkError` where it cannot be written."""
        self._results = LineFile(Path(directory, "results.jsonl"))
        self._timings = LineFile(Path(directory, "timings.jsonl"))

    def write(self, item: FrameResult | Gap | SourceStatus, surface: Surface | None = None) -> None:
        """Append a result or a gap; what a source is doing is not part of its results. Raises `SinkError`."""
        if isinstance(item, FrameResult):
            self._timings.write(timings_of(item))
        if not isinstance(item, SourceStatus):
            self._results.write(item_to_json(item))

    def close(self) -> None:
        """Close both files. Calling it twice does no harm."""
        self._results.close()
        self._timings.close()


def timings_of(result: FrameResult) -> dict[str, Any]:
    """A line of `timings.jsonl`: whose, and how long what took, in milliseconds."""
    identity = {"source_id": result.source_id, "epoch": result.epoch, "seq": result.seq}
    return identity | (asdict(result.timings) if result.timings is not None else {})
