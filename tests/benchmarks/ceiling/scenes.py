"""What networks found in real clips, put together to frames of 300 candidates and maps of 32 segments and more.

The recording (see `record`) holds windows of 20 consecutive frames of two clips: a crowd in a street and a motorway. No
clip has 20 objects and 32 segments in every frame, so a frame of 1080p is four windows side by side: two of the crowd
and two of the motorway, which ones and where another choice for each scene, each begun at another frame. The candidates
are the 300 best of the four (150 at most of one) before suppression, best first as a device hands them over; the map of
480x270 is found on the device. Stuff is told apart by the window and its half: a pavement on the left is another
segment than one on the right. Frames are played forwards and backwards, so that tracks go on.
"""

from __future__ import annotations

import hashlib
import itertools
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.messages import Classes
from stages.detect.coco import COCO_CLASSES

RECORDING = Path(__file__).parent / "recorded.npz"
STEPS = 20  # frames of a window
TILE_WIDTH, TILE_HEIGHT = 240, 135  # of a window's map
SCENES, FRAMES = 64, 12
CANDIDATES = 300
SCALE = 4  # source pixels a map pixel: 1080p
STUFF = ("road", "pavement", "building", "sky", "vegetation")
PLACES = tuple(f"{row} {column}, {half} half" for row in ("upper", "lower") for column in "lr" for half in "lr")
CLASSES = Classes(COCO_CLASSES, tuple(f"{kind} {place}" for place in PLACES for kind in STUFF))
BOX_UNITS = 8  # a source pixel, in the recording
SCORE_UNITS = 65_535

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Recording:
    """Windows as recorded: w of them, frame t of window i at row ``i * STEPS + t``."""

    crowded: npt.NDArray[np.bool_]  # [w]
    maps: UInt8  # [w * STEPS, 135, 240] label: a thing's, or the number of things and the kind of stuff
    boxes: npt.NDArray[np.int16]  # [N, 4] xyxy, in parts of source pixels of the window's quarter
    scores: npt.NDArray[np.uint16]  # [N]
    labels: UInt8  # [N]
    bounds: npt.NDArray[np.int64]  # [w * STEPS + 1] rows bounds[r] to bounds[r + 1] are frame r's

    def save(self) -> None:
        """Write it where it is kept."""
        np.savez_compressed(RECORDING, **{name: getattr(self, name) for name in self.__slots__})


@cache
def recording() -> Recording:
    """The one that is kept beside this file."""
    with np.load(RECORDING, allow_pickle=False) as kept:
        return Recording(**{name: kept[name] for name in Recording.__slots__})


@dataclass(frozen=True, slots=True)
class Scenes:
    """All frames of all scenes, frame f of scene s at row ``s * FRAMES + f``."""

    boxes: npt.NDArray[np.float32]  # [R, 300, 4] xyxy, source pixels
    scores: npt.NDArray[np.float32]  # [R, 300]
    labels: npt.NDArray[np.int32]  # [R, 300]
    maps: UInt8  # [R, 270, 480] class of each pixel

    def row(self, source: int, seq: int) -> int:
        """Where a source's frame is found: forwards, backwards, forwards; sources of one scene are out of step."""
        step = (seq + 5 * (source // SCENES)) % (2 * FRAMES - 2)
        return (source % SCENES) * FRAMES + min(step, 2 * FRAMES - 2 - step)


def load() -> Scenes:
    """The scenes, put together once a machine and mapped from a temporary folder."""
    version = hashlib.sha256(RECORDING.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"everyframe-ceiling-{version}"
    names = ("boxes", "scores", "labels", "maps")
    if not (folder / "maps.npy").exists():
        folder.mkdir(exist_ok=True)
        made = [scene(number) for number in range(SCENES)]
        for i, name in enumerate(names):  # the maps last: they tell that all is there
            np.save(folder / f"{name}.part.npy", np.concatenate([one[i] for one in made]))
            (folder / f"{name}.part.npy").rename(folder / f"{name}.npy")
    return Scenes(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in names))


def scene(number: int) -> tuple[npt.NDArray[Any], ...]:
    """Boxes, scores, labels and maps of a scene's frames."""
    windows, starts = choice(number)
    rows = np.array(windows) * STEPS + starts
    frames = [(*candidates(rows + step), picture(rows + step)) for step in range(FRAMES)]
    return tuple(np.stack(column) for column in zip(*frames, strict=True))


def choice(number: int) -> tuple[list[int], npt.NDArray[np.int64]]:
    """The four windows of a scene, by place, and the frame that each begins with: no two scenes are alike."""
    crowds, roads = (np.flatnonzero(recording().crowded == crowded) for crowded in (True, False))
    pairs = list(itertools.product(itertools.combinations(crowds, 2), itertools.combinations(roads, 2)))
    rng = np.random.default_rng(number)
    of_crowds, of_roads = pairs[number % len(pairs)]
    placed = rng.permutation([*of_crowds, *of_roads])
    return [int(window) for window in placed], rng.integers(0, STEPS - FRAMES + 1, 4)


def picture(rows: npt.NDArray[np.int64]) -> UInt8:
    """The map [270, 480] of four recorded frames."""
    whole = np.empty((2 * TILE_HEIGHT, 2 * TILE_WIDTH), np.uint8)
    for place, row in enumerate(rows):
        tile = recording().maps[row].copy()
        for half, part in enumerate(np.hsplit(tile, 2)):
            part[part >= len(COCO_CLASSES)] += np.uint8(len(STUFF) * (2 * place + half))
        top, left = place // 2 * TILE_HEIGHT, place % 2 * TILE_WIDTH
        whole[top : top + TILE_HEIGHT, left : left + TILE_WIDTH] = tile
    return whole


def candidates(rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], ...]:
    """Boxes, scores and labels of the best candidates of four recorded frames, best first."""
    kept = recording()
    spans = [slice(int(kept.bounds[row]), int(kept.bounds[row + 1])) for row in rows]
    corners = [(place % 2 * TILE_WIDTH * SCALE, place // 2 * TILE_HEIGHT * SCALE) for place in range(4)]
    boxes = [kept.boxes[span] / BOX_UNITS + np.tile(at, 2) for span, at in zip(spans, corners, strict=True)]
    scores = np.concatenate([kept.scores[span] for span in spans]) / SCORE_UNITS
    labels = np.concatenate([kept.labels[span] for span in spans])
    best = np.argsort(-scores, kind="stable")[:CANDIDATES]
    return (
        np.concatenate(boxes)[best].astype(np.float32),
        scores[best].astype(np.float32),
        labels[best].astype(np.int32),
    )
