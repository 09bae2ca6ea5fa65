"""A MOTChallenge sequence as a clip: `seqinfo.ini`, `gt/gt.txt`, and the frames it names."""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from stages.models.evaluation.clips import ClipFrame
from stages.models.evaluation.truth import Ignoring
from stages.models.labelled.sample import MAX_OBJECTS, Sample
from stages.models.labelled.taxonomy import Taxonomy

# MOT16's classes; what is not named here is neither right nor wrong to find where it looks like a person.
PEDESTRIAN: Final = 1
LIKE_PEOPLE: Final = (2, 7, 8, 12)  # on a vehicle, standing, distractor, reflection
COLUMNS: Final = 6  # that every line has: frame, identity, left, top, width, height


@dataclass(frozen=True, slots=True, eq=False)
class MotClip:
    """People of one sequence; it knows nothing of other things, and no pixels."""

    name: str
    seconds_between: float
    taxonomy: Taxonomy
    frames: list[Path]
    rows: NDArray[np.float64]  # [N, 8] frame, identity, left, top, width, height, counts, class
    ignoring: Ignoring = "coco"

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[ClipFrame]:
        for number, path in enumerate(self.frames, start=1):
            yield self._frame(path, self.rows[self.rows[:, 0] == number])

    def _frame(self, path: Path, rows: NDArray[np.float64]) -> ClipFrame:
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if bgr is None:
            raise DataError(f"{path}: cannot be read as a picture")
        image = np.ascontiguousarray(np.asarray(bgr, np.uint8)[..., ::-1])
        rows = rows[np.isin(rows[:, 7], (PEDESTRIAN, *LIKE_PEOPLE))][:MAX_OBJECTS]
        counted = (rows[:, 7] == PEDESTRIAN) & (rows[:, 6] != 0)
        boxes = np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], 1).astype(np.float32)
        boxes = boxes.clip(0, np.array(image.shape[1::-1] * 2, np.float32)).astype(np.float32)
        person = self.taxonomy.label("person")
        sample = Sample(
            image,
            np.zeros(image.shape[:2], np.uint8),
            boxes,
            np.full(len(rows), person, np.int64),
            counted.astype(np.float32),
            np.arange(len(self.taxonomy.things)) == person,
        )
        return ClipFrame(sample, rows[:, 1].astype(np.int64))


def open_mot(folder: Path, taxonomy: Taxonomy) -> MotClip:
    """Read a sequence's truth and find its frames.

    Raises:
        DataError: naming what is missing or cannot be read.
    """
    if taxonomy.label("person") is None:
        raise DataError(f"{folder}: MOTChallenge's truth is of people, and no model that is measured knows 'person'")
    about = _about(folder)
    rows = _rows(folder / "gt" / "gt.txt")
    pictures = folder / about.get("imDir", "img1")
    ending = about.get("imExt", ".jpg")
    frames = sorted(pictures.glob(f"*{ending}"))
    if not frames:
        raise DataError(f"{pictures}: no frames (*{ending}); the sequence's pictures are needed, not its truth alone")
    last = int(rows[:, 0].max(initial=0))
    if last > len(frames):
        raise DataError(f"{folder}: truth up to frame {last}, and {len(frames)} frames in {pictures.name}")
    rate = _number(about.get("frameRate", "25"), folder)
    return MotClip(f"MOT {folder.name}", 1 / rate, taxonomy, frames, rows)


def _about(folder: Path) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    path = folder / "seqinfo.ini"
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
        return parser["Sequence"]
    except (OSError, UnicodeDecodeError, configparser.Error, KeyError) as exc:
        raise DataError(f"{path}: cannot be read as a MOTChallenge sequence: {_told(exc)}") from exc


def _rows(path: Path) -> NDArray[np.float64]:
    try:
        lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        rows = [[float(cell) for cell in line[:8]] for line in lines]
    except (OSError, UnicodeDecodeError, ValueError) as exc:
        raise DataError(f"{path}: cannot be read as MOTChallenge's truth: {_told(exc)}") from exc
    for number, row in enumerate(rows, start=1):
        if len(row) < COLUMNS or not np.isfinite(row).all():
            raise DataError(f"{path}: line {number} has {len(row)} numbers; frame, identity and a box are needed")
    filled = [row + [1.0, float(PEDESTRIAN)][len(row) - COLUMNS :] if len(row) < 8 else row for row in rows]
    table = np.array(filled, np.float64).reshape(-1, 8)
    table[table[:, 7] < 0, 7] = PEDESTRIAN  # MOT15 has coordinates there
    return table


def _number(text: str, folder: Path) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 10_000:
        raise DataError(f"{folder / 'seqinfo.ini'}: frameRate is {text!r}; frames a second are needed")
    return value


def _told(exc: Exception) -> str:
    return exc.strerror or str(exc) if isinstance(exc, OSError) else " ".join(str(exc).split())
