"""Frames of a recording at a stated rate, each with its time."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.config import SourceConfig
from pipeline.config.video_names import is_video, order_of
from pipeline.errors import AddressError, DataError, SourceError
from pipeline.messages import Piece, Surface

_TOLD: Final = 1 << 20  # bytes at either end of a file that tell it from others
_MICROSECONDS: Final = 1_000_000  # a second, as containers count their length
_USUAL_RATE: Final = 25.0  # frames a second, where nothing tells
_EARLY: Final = 1e-3  # seconds: a frame due at 0.2 that is shown at 0.1999 is due


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A frame that is looked at."""

    index: int  # among those that are looked at
    seconds: float  # since the file's first frame
    rgb: NDArray[np.uint8]  # [H, W, 3]


def frames_of(path: Path, *, fps: float, skip: int = 0, wanted: frozenset[int] | None = None) -> Iterator[Shown]:
    """Frames of a file, at most `fps` a second, the first first; of frames that are passed over no picture is made.

    Args:
        path: a video file.
        fps: frames a second at most.
        skip: pass over so many of those at this rate.
        wanted: give only those of this number, and end after the last of them.

    Raises:
        DataError: when the file cannot be read as video.
    """
    from stages.publish.rgb import rgb_of

    last = max(wanted) if wanted else -1
    for index, seconds, surface in _due(path, fps):
        if wanted is not None and index > last:
            return
        if index >= skip and (wanted is None or index in wanted):
            yield Shown(index, seconds, rgb_of(surface))


def _due(path: Path, fps: float) -> Iterator[tuple[int, float, Surface]]:
    """Number among those due, seconds, and picture."""
    count, due = 0, 0.0
    for seconds, surface in _timed(path):
        if seconds < due - _EARLY:
            continue
        yield count, seconds, surface
        count += 1
        due = max(due + 1 / fps, seconds + 0.5 / fps)


def _timed(path: Path) -> Iterator[tuple[float, Surface]]:
    """Seconds since the first picture, and picture; by count where there are no time stamps."""
    from stages.decode.piece_reader import PieceReader

    reader = None
    try:
        reader = PieceReader(SourceConfig(url=str(path.absolute()), source_id="footage"), Piece())
        rate = float(reader.about.rate or _USUAL_RATE)
        first: int | None = None
        for count, picture in enumerate(reader.pictures()):
            if picture.pts is None:
                yield count / rate, picture.surface
                continue
            first = picture.pts if first is None else first
            yield float((picture.pts - first) * reader.about.time_base), picture.surface
    except (SourceError, AddressError) as exc:
        raise DataError(f"{path}: cannot be read as video ({exc})") from exc
    finally:
        if reader is not None:
            reader.close()


def frames_expected(path: Path, *, fps: float) -> int:
    """About how many frames `frames_of` gives, by what the file says of its length; 0 where it says nothing."""
    from stages.decode.container import open_container

    source = SourceConfig(url=str(path.absolute()), source_id="footage")
    try:
        container = open_container(source, source.url).container
    except (SourceError, AddressError) as exc:
        raise DataError(f"{path}: cannot be read as video ({exc})") from exc
    try:
        return round((container.duration or 0) / _MICROSECONDS * fps)
    finally:
        container.close()


def find_videos(given: Sequence[str]) -> list[Path]:
    """Video files, those of folders and of patterns, in the order they were given, each once.

    Raises:
        DataError: where something is not there, or has no video in it.
    """
    found: dict[Path, Path] = {}
    for text in given:
        path = Path(text)
        if path.is_dir():
            inside = sorted((one for one in path.rglob("*") if is_video(one.name)), key=lambda one: order_of(str(one)))
        elif path.is_file():
            inside = [path]
        else:
            matched = (Path(one) for one in glob.glob(text, recursive=True))
            inside = sorted((one for one in matched if is_video(one.name)), key=lambda one: order_of(str(one)))
        if not inside:
            said = "no video file is in it" if path.is_dir() else "there is no such file or folder"
            raise DataError(f"{text}: {said}")
        for one in inside:
            found.setdefault(one.resolve(), one)
    return list(found.values())


def fingerprint_of(paths: Sequence[Path]) -> dict[str, str]:
    """What tells these files from others by their content, by path.

    Raises:
        DataError: for a file that cannot be read.
    """
    return {str(path): _digest(path) for path in paths}


def _digest(path: Path) -> str:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            told = hashlib.sha256(file.read(_TOLD))
            file.seek(max(size - _TOLD, 0))
            told.update(file.read(_TOLD))
    except OSError as exc:
        raise DataError(f"{path}: cannot be read ({exc.strerror})") from exc
    told.update(str(size).encode())
    return told.hexdigest()[:16]
