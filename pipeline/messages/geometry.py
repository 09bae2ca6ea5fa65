"""The label space of results, and where a smaller picture lies in the source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.messages.arrays import Float32


@dataclass(frozen=True, slots=True)
class Classes:
    """The label space of a result: things first, then stuff; a label is an index into `names`."""

    things: tuple[str, ...]
    stuff: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All class names, by label."""
        return self.things + self.stuff

    def is_thing(self, label: int) -> bool:
        """Whether objects of this class are countable."""
        return label < len(self.things)


@dataclass(frozen=True, slots=True)
class Transform:
    """From pixels of a smaller picture to pixels of the source: ``x_source = x * scale_x + offset_x``."""

    scale_x: float = 1.0
    scale_y: float = 1.0
    offset_x: float = 0.0
    offset_y: float = 0.0

    def apply(self, boxes: Float32) -> Float32:
        """`xyxy` boxes [N, 4] of the smaller picture in pixels of the source."""
        scale = np.array([self.scale_x, self.scale_y] * 2, dtype=np.float32)
        offset = np.array([self.offset_x, self.offset_y] * 2, dtype=np.float32)
        return np.asarray(boxes * scale + offset, dtype=np.float32)

    def invert(self, boxes: Float32) -> Float32:
        """`xyxy` boxes [N, 4] of the source in pixels of the smaller picture."""
        scale = np.array([self.scale_x, self.scale_y] * 2, dtype=np.float32)
        offset = np.array([self.offset_x, self.offset_y] * 2, dtype=np.float32)
        return np.asarray((boxes - offset) / scale, dtype=np.float32)
