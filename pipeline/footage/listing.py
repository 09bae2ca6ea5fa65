"""Which recordings are meant: files, folders, patterns and lists, in order, each once and with a name of its own."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.config.video_names import SUFFIXES, is_video, order_of
from pipeline.errors import UsageError

REPORT = "report.json"  # lies beside the folders of results
MOST_NAME = 64  # characters, as of any source's name
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Recording:
    """A video file, and its name: its source's, and its folder's among the results."""

    path: Path
    name: str
    began: str = ""  # ISO 8601; empty: as its container says

    @property
    def url(self) -> str:
        """Its path from the root, which nobody takes for an address."""
        return str(self.path.absolute())


@dataclass(frozen=True, slots=True)
class Footage:
    """What becomes one source's results: a recording, or segments of one camera in order."""

    name: str
    segments: tuple[Recording, ...]

    @property
    def shown(self) -> str:
        """Where it is."""
        first = str(self.segments[0].path)
        return first if len(self.segments) == 1 else f"{first} and {len(self.segments) - 1} more"


def footage_of(recordings: Sequence[Recording], *, one_source: str | None) -> list[Footage]:
    """Each recording by itself; or all as segments of one source of this name, by when they began where all say so."""
    if one_source is None:
        return [Footage(recording.name, (recording,)) for recording in recordings]
    moments = [datetime.fromisoformat(recording.began) for recording in recordings if recording.began]
    segments = list(recordings)
    if len(moments) == len(recordings):
        segments = [segments[i] for i in sorted(range(len(segments)), key=lambda i: moments[i])]
    return [Footage(one_source, tuple(segments))]


def find_recordings(given: Sequence[str]) -> list[Recording]:
    """The recordings that are meant, in the order they were given, those of a folder by name.

    A folder stands for the video files below it, a pattern (`*`, `?`, `[...]`, `**`) for what it matches, and `@FILE`
    for the lines of a file, paths that count from its own folder. A file that is meant twice is taken once.

    Raises:
        UsageError: something is not there, has no video in it or cannot be read.
    """
    recordings: list[Recording] = []
    seen: set[Path] = set()
    for path, below in _meant(given, root=Path()):
        real = path.resolve()
        if real not in seen:
            seen.add(real)
            recordings.append(Recording(path, _named(path, below)))
    return _told_apart(recordings)


def _meant(given: Iterable[str], *, root: Path) -> Iterator[tuple[Path, Path]]:
    """Each path, and the folder that its name counts from."""
    for text in given:
        path = root / text
        if text.startswith("@"):
            yield from _listed(root / text[1:])
        elif path.is_dir():
            yield from ((found, path) for found in _in_folder(path))
        elif path.is_file():
            yield path, path.parent
        elif _WILD.search(text) and not path.exists():
            yield from _matched(text, root)
        else:
            raise UsageError(f"{text}: there is no such file or folder")


def _in_folder(folder: Path) -> list[Path]:
    found = [
        Path(at, name)
        for at, folders, names in os.walk(folder, onerror=_unreadable)
        if not folders.sort(key=order_of)
        for name in sorted(names, key=order_of)
        if is_video(name)
    ]
    if not found:
        raise UsageError(f"{folder}: no video file is in it; {', '.join(sorted(SUFFIXES))} are looked for")
    return found


def _unreadable(error: OSError) -> None:
    raise UsageError(f"{error.filename}: cannot be read: {error.strerror}")


def _matched(pattern: str, root: Path) -> Iterator[tuple[Path, Path]]:
    found = sorted(glob.glob(pattern, root_dir=root, recursive=True), key=order_of)
    files = [path for one in found if (path := root / one).is_file() and is_video(path.name)]
    if not files:
        raise UsageError(f"{pattern}: no video file matches")
    fixed = Path(*(part for part in Path(pattern).parts[: _first_wild(pattern)]))
    yield from ((path, root / fixed) for path in files)


def _first_wild(pattern: str) -> int:
    """How many of its parts come before the first with a sign in it."""
    parts = Path(pattern).parts
    return next(i for i, part in enumerate(parts) if _WILD.search(part))


def _listed(path: Path) -> Iterator[tuple[Path, Path]]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is not text in UTF-8"
        raise UsageError(f"@{path}: the list cannot be read: {why}") from exc
    meant = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not meant:
        raise UsageError(f"@{path}: the list is empty; a path a line is needed")
    if any(line.startswith("@") for line in meant):
        raise UsageError(f"@{path}: a list cannot name another list")
    yield from _meant(meant, root=path.parent)


def _named(path: Path, below: Path) -> str:
    """A name from where it lies below the folder: `gate/2026-11-26/10.mp4` is `gate-2026-11-26-10`."""
    text = "-".join(path.relative_to(below).with_suffix("").parts)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:MOST_NAME].strip("-.") or "recording"


def _told_apart(recordings: Sequence[Recording]) -> list[Recording]:
    """Those of one name, or of the report's, get a piece of their path's digest, whatever else is given."""
    names = Counter([REPORT, *(recording.name for recording in recordings)])
    return [
        recording if names[recording.name] == 1 else Recording(recording.path, _with_digest(recording))
        for recording in recordings
    ]


def _with_digest(recording: Recording) -> str:
    digest = hashlib.sha256(os.fsencode(recording.path.resolve())).hexdigest()[:8]
    return f"{recording.name[: MOST_NAME - 9]}-{digest}"
