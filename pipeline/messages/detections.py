"""What networks give for one frame: boxes, and maps at the network's output scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.messages.arrays import Float32, Int32, StructOfArrays, UInt8
from pipeline.messages.geometry import Transform


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Detections(StructOfArrays):
    """Boxes found in one frame.

    `coefficients` weigh a network's prototype masks, where it has them. `scores` are what suppression left of
    `raw_scores`.
    """

    boxes: Float32  # [N, 4] xyxy, source pixels
    scores: Float32  # [N] 0..1, after suppression
    labels: Int32  # [N]
    raw_scores: Float32  # [N] 0..1, as the network gave them
    coefficients: Float32 | None = None  # [N, K]

    def __post_init__(self) -> None:
        self._check_rows(boxes=(4,), scores=(), labels=(), raw_scores=(), coefficients=None)

    @classmethod
    def of(cls, boxes: Float32, scores: Float32, labels: Int32, *, coefficients: Float32 | None = None) -> Detections:
        """Detections whose scores are still the network's own."""
        return cls(boxes=boxes, scores=scores, labels=labels, raw_scores=scores, coefficients=coefficients)

    @classmethod
    def empty(cls) -> Detections:
        """No detections."""
        none = np.zeros(0, dtype=np.float32)
        return cls.of(np.zeros((0, 4), dtype=np.float32), none, np.zeros(0, dtype=np.int32))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SemanticMap:
    """A network's class scores for each pixel of one frame, at the network's output scale."""

    logits: Float32  # [S, h, w], S classes in the segmenter's order
    transform: Transform  # from pixels of the map to source pixels
    valid_height: int  # rows of the map that show the picture; the rest is letterbox padding
    valid_width: int

    def __repr__(self) -> str:
        return f"SemanticMap({list(self.logits.shape)}, {self.valid_width}x{self.valid_height} valid)"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LabelMap:
    """The winning channel of each pixel, from a network whose scores were compared where it ran; 255 is void."""

    channels: UInt8  # [h, w] rows and columns that show the picture alone
    transform: Transform  # from pixels of the map to source pixels

    def __repr__(self) -> str:
        return f"LabelMap({self.channels.shape[1]}x{self.channels.shape[0]})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Prototypes:
    """A network's prototype masks for one frame: a mask is ``sigmoid(coefficients @ masks)`` inside its box."""

    masks: Float32  # [K, h, w]
    transform: Transform  # from pixels of the map to source pixels
    valid_height: int
    valid_width: int

    def __repr__(self) -> str:
        return f"Prototypes({list(self.masks.shape)}, {self.valid_width}x{self.valid_height} valid)"
