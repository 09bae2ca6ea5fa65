"""What a network on a device would hand over, frame by frame: made from a seed a source, no two frames alike.

A scene has 20 objects that move before 12 layers of stuff, all with outlines ragged by a pixel. Each frame has 300
candidate boxes, most of them weaker ones about the same objects, and the winning class of each pixel of a 480x270 map,
which is found on the device. Frames are played forwards and backwards, so that tracks go on.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.messages import Classes
from tests.benchmarks.streets import wave

SCENES, FRAMES = 64, 12
OBJECTS, CANDIDATES, LAYERS = 20, 300, 12
WIDTH, HEIGHT = 480, 270
SCALE = 4  # source pixels a map pixel: 1080p
CLASSES = Classes(tuple(f"thing-{i}" for i in range(8)), tuple(f"stuff-{i}" for i in range(LAYERS)))
_VERSION = 2  # of what is made; part of the name it is kept under


@dataclass(frozen=True, slots=True)
class Scenes:
    """All frames of all scenes, frame f of scene s at row ``s * FRAMES + f``."""

    boxes: npt.NDArray[np.float32]  # [R, 300, 4] xyxy, source pixels
    scores: npt.NDArray[np.float32]  # [R, 300]
    labels: npt.NDArray[np.int32]  # [R, 300]
    maps: npt.NDArray[np.uint8]  # [R, 270, 480] class of each pixel

    def row(self, source: int, seq: int) -> int:
        """Where a source's frame is found: forwards, backwards, forwards."""
        step = seq % (2 * FRAMES - 2)
        return (source % SCENES) * FRAMES + min(step, 2 * FRAMES - 2 - step)


def load() -> Scenes:
    """The scenes, made once a machine and mapped from a temporary folder."""
    folder = Path(tempfile.gettempdir()) / f"everyframe-ceiling-{_VERSION}"
    names = ("boxes", "scores", "labels", "maps")
    if not (folder / "maps.npy").exists():
        folder.mkdir(exist_ok=True)
        made = [scene(seed) for seed in range(SCENES)]
        for i, name in enumerate(names):  # the maps last: they tell that all is there
            np.save(folder / f"{name}.part.npy", np.concatenate([one[i] for one in made]))
            (folder / f"{name}.part.npy").rename(folder / f"{name}.npy")
    return Scenes(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in names))


def scene(seed: int) -> tuple[npt.NDArray[Any], ...]:
    """Boxes, scores, labels and maps of a scene's frames."""
    rng = np.random.default_rng(seed)
    ground = layers(rng)
    centres = rng.uniform((0.08 * WIDTH, 0.2 * HEIGHT), (0.92 * WIDTH, 0.9 * HEIGHT), (OBJECTS, 2))
    halves = rng.uniform((0.015, 0.04), (0.05, 0.14), (OBJECTS, 2)) * (WIDTH, HEIGHT)
    speeds = rng.normal(0, 1.2, (OBJECTS, 2))
    labels = rng.integers(0, len(CLASSES.things), OBJECTS).astype(np.int32)
    outlines = [1 + 0.1 * wave(rng, 720, 20) + rng.normal(0, 0.01, 720) for _ in range(OBJECTS)]
    frames = []
    for step in range(FRAMES):
        at = centres + speeds * step
        picture = ground.copy()
        for i in range(OBJECTS):
            paint(picture, at[i], halves[i], outlines[i], int(labels[i]))
        boxes = np.concatenate([at - halves, at + halves], axis=1) * SCALE
        frames.append((*candidates(rng, boxes, labels), picture))
    return tuple(np.stack(column) for column in zip(*frames, strict=True))


def layers(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Stuff, piled up."""
    ground = np.full((HEIGHT, WIDTH), len(CLASSES.things), np.uint8)
    rows = np.arange(HEIGHT)[:, None]
    for layer in range(1, LAYERS):
        edge = HEIGHT * (layer / LAYERS + 0.01 * wave(rng, WIDTH, WIDTH / 60)) + rng.normal(0, 0.4, WIDTH)
        ground[rows > edge] = len(CLASSES.things) + layer
    return ground


def paint(picture: npt.NDArray[np.uint8], at: Any, half: Any, outline: Any, label: int) -> None:
    """One object over what is behind it."""
    left, top = np.maximum(0, np.floor(at - 1.5 * half)).astype(int)
    right, bottom = np.ceil(at + 1.5 * half).astype(int)
    part = picture[top:bottom, left:right]
    y, x = np.mgrid[top : top + part.shape[0], left : left + part.shape[1]]
    turn = ((np.arctan2(y - at[1], x - at[0]) + np.pi) / (2 * np.pi) * 719).astype(int)
    part[((x - at[0]) / half[0]) ** 2 + ((y - at[1]) / half[1]) ** 2 < outline[turn] ** 2] = label


def candidates(rng: np.random.Generator, boxes: Any, labels: npt.NDArray[np.int32]) -> tuple[npt.NDArray[Any], ...]:
    """A confident box for each object, and weaker ones around it, in no order."""
    of = np.concatenate([np.arange(OBJECTS), rng.integers(0, OBJECTS, CANDIDATES - OBJECTS)])
    sizes = (boxes[:, 2:] - boxes[:, :2])[of]
    jitter = rng.normal(0, 0.06, (CANDIDATES, 4)) * np.concatenate([sizes, sizes], axis=1)
    jitter[:OBJECTS] *= 0.15
    scores = np.concatenate([rng.uniform(0.55, 0.95, OBJECTS), rng.uniform(0.1, 0.2, CANDIDATES - OBJECTS)])
    order = rng.permutation(CANDIDATES)
    found = np.maximum(boxes[of] + jitter, 0)
    return found[order].astype(np.float32), scores[order].astype(np.float32), labels[of][order]
