"""Do two networks give the same: numbers as a share of their spread, and the detections that come of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from pipeline.messages import Float32, Int32
from stages.detect.layout import best_class
from stages.models.exporting.deployed import OUTPUT_NAMES
from stages.models.overlap import overlaps
from stages.suppress import suppress

SEEN_SCORE: Final = 0.3  # what counts as a detection
_SUPPRESSED_IOU = 0.6
_LEAST_SPREAD = 1e-3  # of an output that hardly varies: beneath it a share says nothing

# Which of two boxes of one thing suppression keeps is chance where their scores are nearly the same. Both sides counted
# two such things are four detections, and among fifty that is a larger share than a right file may be denied for.
MAY_DIFFER: Final = 4

Given = dict[str, Float32]  # one picture's outputs by name, each [1, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How far a file's answers may be from torch's.

    Attributes:
        mean: mean difference of an output, as a share of its spread (standard deviation over all frames).
        largest: largest difference, likewise.
        iou: overlap of two boxes that are the same detection.
        score: difference of score of such boxes.
        share: of detections from `SEEN_SCORE` on that must be the same. Of few, a tenth may differ, up to `MAY_DIFFER`.
    """

    mean: float
    largest: float
    iou: float
    score: float
    share: float


class Found(NamedTuple):
    """Detections of one picture, in network pixels, suppressed."""

    boxes: Float32  # [N, 4] xyxy
    scores: Float32  # [N]
    labels: Int32  # [N]


@dataclass(slots=True)
class Agreement:
    """What was measured over all frames.

    Attributes:
        mean: mean difference of each output as a share of its spread.
        largest: likewise the largest.
        same: detections of either side that the other has too.
        seen: detections of both sides from `SEEN_SCORE` on.
        pixels: share of map pixels of the same class.
        frames: how many.
    """

    mean: dict[str, float] = field(default_factory=dict)
    largest: dict[str, float] = field(default_factory=dict)
    same: int = 0
    seen: int = 0
    pixels: float = 1.0
    frames: int = 0

    @property
    def share(self) -> float:
        """Of the detections that are the same; 1 where there are none."""
        return self.same / self.seen if self.seen else 1.0

    def fault(self, tolerance: Tolerance) -> str:
        """What is beyond the tolerance, in words; empty where nothing is."""
        for what, shares, most in (("mean", self.mean, tolerance.mean), ("largest", self.largest, tolerance.largest)):
            for name in (output for output, share in shares.items() if not share <= most):  # not: nan is beyond, too
                return (
                    f"output {name} differs by {shares[name]:.2g} of its spread ({what}; at most {most:g} is allowed)"
                )
        needed = self.seen - max((1 - tolerance.share) * self.seen, min(MAY_DIFFER, self.seen / 10))
        if self.same < needed:
            told = f"{self.same} of {self.seen} detections from {SEEN_SCORE} on are the same"
            return f"{told}; {math.ceil(needed)} are needed"
        return ""


def agreement(reference: Sequence[Given], given: Sequence[Given], tolerance: Tolerance) -> Agreement:
    """Compare what two networks gave for the same pictures; `tolerance` says when two detections are the same."""
    found = Agreement(frames=len(reference))
    pixels = []
    for name in OUTPUT_NAMES:
        wanted = np.concatenate([outputs[name] for outputs in reference])
        differences = np.abs(np.concatenate([outputs[name] for outputs in given]) - wanted)
        spread = max(float(wanted.std()), _LEAST_SPREAD)
        found.mean[name] = float(differences.mean()) / spread
        found.largest[name] = float(differences.max(initial=0.0)) / spread
    for left, right in zip(reference, given, strict=True):
        same, seen = same_detections(detections(left), detections(right), tolerance)
        found.same += same
        found.seen += seen
        pixels.append((left["semantic"].argmax(1) == right["semantic"].argmax(1)).mean())
    found.pixels = float(np.mean(pixels))
    return found


def detections(outputs: Given) -> Found:
    """What a picture's outputs say is there, down to half of `SEEN_SCORE`."""
    rows, labels, scores = best_class(outputs["scores"][0], SEEN_SCORE / 2)
    boxes = outputs["boxes"][0][rows]
    kept, _ = suppress(
        boxes, scores, labels, method="hard", iou_threshold=_SUPPRESSED_IOU, score_threshold=SEEN_SCORE / 2
    )
    return Found(boxes[kept], scores[kept], labels[kept])


def same_detections(left: Found, right: Found, tolerance: Tolerance) -> tuple[int, int]:
    """How many detections of either side the other has too, and how many there are, both sides counted.

    Counted are those from `SEEN_SCORE` on; one that stands just above it may meet one just beneath.
    """
    same = seen = 0
    for one, other in ((left, right), (right, left)):
        counted = one.scores >= SEEN_SCORE
        near = (
            (overlaps(one.boxes, other.boxes) >= tolerance.iou)
            & (one.labels[:, None] == other.labels)
            & (np.abs(one.scores[:, None] - other.scores) <= tolerance.score)
        )
        same += int(near.any(1)[counted].sum())
        seen += int(counted.sum())
    return same, seen
