"""Made-up pictures: objects, and detections of them that are off by chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.messages import Detections

BOXES = np.array([[0, 0, 10, 10], [20, 0, 40, 20]], np.float32)
LABELS = np.array([0, 1])
NONE = np.zeros(2, np.bool_)


def found(boxes: NDArray[np.float32], labels: list[int], scores: list[float]) -> Detections:
    """Detections of lists."""
    return Detections.of(
        np.asarray(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(labels, np.int32)
    )


def scene(
    rng: np.random.Generator, *, classes: int, objects: int = 8
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_], Detections]:
    """Boxes, labels, which are ignored, and detections: some right, some shifted, some of nothing."""
    corners = rng.uniform(0, 200, (objects, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(8, 120, (objects, 2))], 1).astype(np.float32)
    labels = rng.integers(0, classes, objects)
    ignored = rng.random(objects) < 0.2
    near = boxes + rng.normal(0, 5, boxes.shape).astype(np.float32)
    far = np.concatenate([corners + 30, corners + 70], 1).astype(np.float32)
    both = np.concatenate([near, far, near[: objects // 2] + 1])
    both[:, 2:] = np.maximum(both[:, 2:], both[:, :2] + 1)
    guessed = np.concatenate([labels, rng.integers(0, classes, objects), labels[: objects // 2]])
    # Scores all different, so that no order is left to chance.
    scores = rng.permutation(np.linspace(0.02, 0.98, len(both)))
    return boxes, labels, ignored, found(both, guessed.tolist(), scores.tolist())


def panoptic(
    rng: np.random.Generator, *, things: int, classes: int, size: tuple[int, int] = (40, 60), void: bool = True
) -> NDArray[np.int64]:
    """A map [H, W, 2] of stuff in stripes and things as rectangles; -1 is void."""
    height, width = size
    labelled = np.zeros((height, width, 2), np.int64)
    stripes = np.sort(rng.integers(1, height, 3))
    for part, rows in enumerate(np.split(np.arange(height), stripes)):
        labelled[rows, :, 0] = things + (part + int(rng.integers(0, 2))) % (classes - things)
    for number in range(6):
        top, left = rng.integers(0, height - 8), rng.integers(0, width - 10)
        part = labelled[top : top + rng.integers(5, 14), left : left + rng.integers(5, 16)]
        part[..., 0], part[..., 1] = rng.integers(0, things), number + 1
    if void:
        labelled[:4, :9] = (-1, 0)
        labelled[20:26, 40:52] = (-1, 0)
    return labelled


def disturbed(rng: np.random.Generator, labelled: NDArray[np.int64], *, by: int = 2) -> NDArray[np.int64]:
    """The map moved a little, with some of it lost and some of another class."""
    moved = np.roll(labelled, (int(rng.integers(0, by + 1)), int(rng.integers(-by, by + 1))), (0, 1)).copy()
    moved[5:9, 20:33] = (-1, 0)
    moved[30:34, :15] = (int(labelled[..., 0].max()), 0)
    return moved
