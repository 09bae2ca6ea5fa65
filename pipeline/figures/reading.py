"""Results that lie in a folder, read a line at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from pipeline.config.video_names import order_of
from pipeline.errors import UsageError, WireError
from pipeline.messages import FrameResult, Gap
from pipeline.wire import tracks_from_line

RESULTS: Final = "results.jsonl"
LONGEST_LINE: Final = 256 * 2**20  # bytes; an honest one is far below
TAIL: Final = 2**18  # bytes of a file's end that are looked at first


@dataclass(frozen=True, slots=True)
class Stored:
    """A file of results, and what its folder is called."""

    name: str
    path: Path

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size


def find_stored(directory: str | Path) -> list[Stored]:
    """The results that `run --output` or `process --output` wrote into a folder, in the order of their names.

    Raises `UsageError` where there are none.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise UsageError(f"{directory}: there is no such folder; name one that --output of 'process' or 'run' wrote")
    found = [Stored(folder.absolute().name, folder / RESULTS)] if (folder / RESULTS).is_file() else []
    try:
        below = sorted((path for path in folder.iterdir() if _has_results(path)), key=lambda path: order_of(path.name))
    except OSError as exc:
        raise UsageError(f"{directory}: cannot be read: {exc.strerror}") from exc
    found += [Stored(path.name, path / RESULTS) for path in below]
    if not found:
        raise UsageError(
            f"{directory}: no {RESULTS} is in it or in a folder of it; name what --output of 'process' or 'run' wrote"
        )
    return found


def _has_results(path: Path) -> bool:
    """Hidden folders are those that a run is at work in."""
    return not path.name.startswith(".") and (path / RESULTS).is_file()


def read_items(stored: Stored, tell: Callable[[int], None] = lambda _: None) -> Iterator[FrameResult | Gap]:
    """Results, with tracks alone, and gaps in order; a last line that is still being written is left out.

    `tell` hears of bytes that were read. Raises `WireError` naming the line that is not one of ours.
    """
    with _opened(stored.path) as file:
        for number, line in enumerate(_lines(file), 1):
            tell(len(line))
            if (item := _item(line, f"{stored.path}, line {number}")) is not None:
                yield item


def range_ns(stored: Sequence[Stored]) -> list[tuple[int, int]]:
    """First and last capture time of each file that has results, without reading what lies between."""
    found = []
    for one in stored:
        first = next((item for item in read_items(one) if isinstance(item, FrameResult)), None)
        if first is not None:
            found.append((first.capture_time_ns, _last_time_ns(one, first.capture_time_ns)))
    return found


def _last_time_ns(stored: Stored, otherwise: int) -> int:
    """The latest time in the last lines; how far back they go doubles until there is a result."""
    tail, size = TAIL, stored.size
    with _opened(stored.path) as file:
        while True:
            file.seek(max(0, size - tail))
            lines = file.read(tail).split(b"\n")[1 if tail < size else 0 : -1]
            times = [item.capture_time_ns for item in map(_readable, lines) if isinstance(item, FrameResult)]
            if times or tail >= min(size, LONGEST_LINE):
                return max([otherwise, *times])
            tail *= 2


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as exc:
        raise UsageError(f"{path}: cannot be read: {exc.strerror}") from exc


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(LONGEST_LINE):
        if not line.endswith(b"\n") and len(line) < LONGEST_LINE:
            return  # it is being written
        yield line


def _item(line: bytes, where: str) -> FrameResult | Gap | None:
    try:
        return tracks_from_line(line)
    except WireError as exc:
        raise WireError(f"{where}: not a result as 'everyframe' writes them: {exc}") from exc


def _readable(line: bytes) -> FrameResult | Gap | None:
    """None for what is not ours: whoever reads the whole file is told of it, and in which line."""
    try:
        return tracks_from_line(line)
    except WireError:
        return None


def total_size(stored: Sequence[Stored]) -> int:
    """Bytes of all of them."""
    return sum(os.path.getsize(one.path) for one in stored)
