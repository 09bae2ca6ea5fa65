"""Looking a file over with the teachers, and keeping what they found: the long part of labelling, done once.

What is kept is what each teacher saw, before any threshold: other thresholds, other pictures and other shares held out
take seconds. It is written in chunks, so that a run that is ended goes on where it was.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from stages.models.adaptation.found import Found
from stages.models.adaptation.picking import SIGNATURE, signature
from stages.models.adaptation.teacher import Teacher, looked_twice
from stages.models.adaptation.video import Shown, frames_expected, frames_of
from stages.models.labelled.parts import Progress
from stages.models.whole_file import whole_file

CHUNK: Final = 100  # frames in a file


@dataclass(slots=True, eq=False)
class Looks:
    """What the teachers found in consecutive frames of one file. F frames, T teachers.

    Attributes:
        seconds: F times since the file's first frame.
        signatures: F small pictures, from `signature`.
        found: F x T, each teacher's two looks as one.
    """

    seconds: list[float] = field(default_factory=list)
    signatures: list[NDArray[np.uint8]] = field(default_factory=list)
    found: list[list[Found]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.seconds)

    def extend(self, later: Looks) -> None:
        """Add those of the frames that follow."""
        self.seconds += later.seconds
        self.signatures += later.signatures
        self.found += later.found


def look_over(
    path: Path,
    teachers: Sequence[Teacher],
    folder: Path,
    *,
    fps: float,
    progress: Progress | None = None,
) -> Looks:
    """What the teachers find in a file, at most `fps` frames a second of it; what is in the folder is not done again.

    Args:
        path: the video file.
        teachers: who look.
        folder: of this file, these teachers and this rate alone; made if need be.
        fps: frames a second at most.
        progress: told how far it is.

    Raises:
        DataError: when the file cannot be read as video.
        ModelError: when a teacher fails.
        OSError: when the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    looks, chunks = _kept(folder, len(teachers))
    if (folder / "whole").is_file():
        return looks
    part, expected = Looks(), frames_expected(path, fps=fps)
    for shown in frames_of(path, fps=fps, skip=len(looks)):
        _look(shown, teachers, part)
        if progress is not None:
            progress(path.name, len(looks) + len(part), max(expected, len(looks) + len(part)))
        if len(part) == CHUNK:
            _write(part, folder / _chunk(chunks))
            looks.extend(part)
            part, chunks = Looks(), chunks + 1
    if len(part):
        _write(part, folder / _chunk(chunks))
        looks.extend(part)
    (folder / "whole").touch()
    return looks


def _look(shown: Shown, teachers: Sequence[Teacher], into: Looks) -> None:
    into.found.append([looked_twice(teacher, shown.rgb) for teacher in teachers])
    into.seconds.append(shown.seconds)
    into.signatures.append(signature(shown.rgb))


def _chunk(number: int) -> str:
    return f"looks-{number:05d}.npz"


def _kept(folder: Path, teachers: int) -> tuple[Looks, int]:
    """What is there already: whole chunks from the first on, and how many."""
    looks, chunks = Looks(), 0
    while (folder / _chunk(chunks)).is_file():
        looks.extend(_read(folder / _chunk(chunks), teachers))
        chunks += 1
    return looks, chunks


def _write(looks: Looks, path: Path) -> None:
    """Plain arrays, no pickle."""
    flat = [one for of_frame in looks.found for one in of_frame]
    arrays: dict[str, NDArray[Any]] = {
        "seconds": np.array(looks.seconds, np.float64),
        "signatures": np.array(looks.signatures, np.uint8).reshape(-1, SIGNATURE[1], SIGNATURE[0]),
        "counts": np.array([len(one) for one in flat], np.int64),
        "boxes": np.concatenate([one.boxes for one in flat]),
        "scores": np.concatenate([one.scores for one in flat]),
        "labels": np.concatenate([one.labels for one in flat]),
        "agreed": np.concatenate([one.agreed for one in flat]),
    }
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _read(path: Path, teachers: int) -> Looks:
    try:
        with np.load(path, allow_pickle=False) as archive:
            parts = {name: archive[name] for name in archive.files}
        ends = np.cumsum(parts["counts"])[:-1]
        columns = (np.split(parts[name], ends) for name in ("boxes", "scores", "labels", "agreed"))
        flat = [Found.of(*fields) for fields in zip(*columns, strict=True)]
        found = [flat[first : first + teachers] for first in range(0, len(flat), teachers)]
        return Looks(parts["seconds"].tolist(), list(parts["signatures"]), found)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as exc:
        raise DataError(f"{path}: cannot be read ({exc}); delete it, and it is made again") from exc
