"""What a detector with masks would find in a picture whose truth is known: the truth itself, or that with faults."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.messages import Classes, Detections, PanopticMap, Transform
from stages.models.labelled.sample import FIRST_OBJECT, Sample
from stages.segment.merge import merge_instances

Bools = NDArray[np.bool_]
LEAST_CHANGED_PIXELS = 12  # a smaller one would lose half of its mask by a pixel all around
EASY_SIDE_PIXELS = 20.0  # at 512 px width; what is smaller is found less often
BURST_FRAMES = 3.0  # what is missed is mostly missed for some frames


class Finder:
    """Finds the objects of a clip's frames, in order.

    Args:
        classes: those that samples are labelled with.
        seed: of the faults.
        faults: how many: 0 finds the truth; 1 misses some 4 of 100 objects that are easy to see and most of those that
            are hardly visible, for some frames each; lets edges tremble by 3 % of a box; moves, thins and thickens
            masks; scores by how well a thing is seen; and finds what is not there in every other frame.
    """

    def __init__(self, classes: Classes, *, seed: int = 0, faults: float = 1.0) -> None:
        self._classes, self._faults = classes, faults
        self._rng = np.random.default_rng(seed)
        self._missed_for: dict[int, int] = {}  # identity -> frames left

    def __call__(self, sample: Sample, ids: NDArray[np.int64]) -> tuple[Detections, PanopticMap]:
        """Detections and the map of a picture; `ids` [G] are the identities of its objects."""
        clear = self._clearness(sample)
        rows = [row for row in range(len(ids)) if not self._misses(int(ids[row]), float(clear[row]))]
        boxes = [self._near(sample.boxes[row]) for row in rows]
        masks = [self._mask(sample.regions == FIRST_OBJECT + row, sample.boxes[row]) for row in rows]
        scores = 0.95 - self._faults * (0.45 * (1 - clear[rows]) + np.abs(self._rng.normal(0, 0.1, len(rows))))
        labels = sample.labels[rows]
        for _ in range(self._rng.poisson(0.5 * self._faults)):
            boxes.append(self._anywhere(sample.image.shape[1], sample.image.shape[0]))
            masks.append(np.zeros(sample.regions.shape, np.bool_))
            scores, labels = np.append(scores, self._rng.uniform(0.1, 0.6)), np.append(labels, 0)
        found = Detections.of(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.clip(scores, 0.05, 0.99).astype(np.float32),
            labels.astype(np.int32),
        )
        stacked = np.array(masks, np.bool_).reshape(-1, *sample.regions.shape)
        label_at = self._ground(sample.regions)
        return found, merge_instances(stacked, found, label_at, classes=self._classes, transform=Transform())

    def _clearness(self, sample: Sample) -> NDArray[np.float64]:
        """How well each object is seen [G], 0 to 1."""
        sides = (sample.boxes[:, 2:] - sample.boxes[:, :2]).min(1, initial=np.inf) * 512 / sample.image.shape[1]
        return np.minimum(sample.visibility, np.minimum(sides / EASY_SIDE_PIXELS, 1.0)).astype(np.float64)

    def _misses(self, identity: int, clear: float) -> bool:
        left = self._missed_for.get(identity, 0)
        if left == 0 and self._rng.random() < self._faults * (0.04 + 0.6 * (1 - clear) ** 2) / BURST_FRAMES:
            left = int(self._rng.geometric(1 / BURST_FRAMES))
        self._missed_for[identity] = max(left - 1, 0)
        return left > 0

    def _near(self, box: NDArray[np.float32]) -> NDArray[np.float64]:
        sides = np.tile(box[2:] - box[:2], 2)
        moved = box + self._faults * self._rng.normal(0, 0.03 * sides + 0.3)
        return np.array([*moved[:2], *np.maximum(moved[2:], moved[:2] + 1)])

    def _mask(self, mask: Bools, box: NDArray[np.float32]) -> Bools:
        if not self._faults:
            return mask
        x, y = self._faults * self._rng.normal(0, 0.02 * (box[2:] - box[:2]))
        shift = np.array([[1, 0, x], [0, 1, y]], np.float32)
        moved = cv2.warpAffine(mask.view(np.uint8), shift, mask.shape[::-1], flags=cv2.INTER_NEAREST)
        change = (cv2.erode, cv2.dilate, None)[int(self._rng.integers(3))]
        if change is not None and min(box[2:] - box[:2]) >= LEAST_CHANGED_PIXELS:
            moved = change(moved, np.ones((3, 3), np.uint8))
        return np.asarray(moved > 0, np.bool_)

    def _anywhere(self, width: int, height: int) -> NDArray[np.float64]:
        size = self._rng.uniform(0.03, 0.15, 2) * height
        corner = self._rng.uniform(0, (width, height) - size)
        return np.concatenate([corner, corner + size])

    def _ground(self, regions: NDArray[np.uint8]) -> NDArray[np.int32]:
        """The label of the stuff at each pixel; -1 where there is none, or a thing."""
        table = np.full(256, -1, np.int32)
        table[1 : 1 + len(self._classes.stuff)] = len(self._classes.things) + np.arange(len(self._classes.stuff))
        return table[regions]
