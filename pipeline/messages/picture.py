"""The picture that a result belongs to, as a reader gets it who asked for the kind `frame`."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from pipeline.messages.arrays import UInt8
from pipeline.messages.frames import Clock


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Picture:
    """A JPEG of a frame, smaller than the frame as a rule; the frame's result has the same identity."""

    source_id: str
    epoch: int
    seq: int
    pts: int | None
    time_base: Fraction
    capture_time_ns: int
    clock: Clock
    width: int  # of the source picture, whose pixels boxes are in
    height: int
    jpeg_width: int  # of the JPEG
    jpeg_height: int
    jpeg: bytes

    @property
    def identity(self) -> tuple[str, int, int]:
        """`(source_id, epoch, seq)`: that of the frame's result."""
        return self.source_id, self.epoch, self.seq

    def rgb(self) -> UInt8:
        """The picture decoded, RGB [jpeg_height, jpeg_width, 3]. Raises `ValueError` where the JPEG is broken."""
        import cv2

        decoded = cv2.imdecode(np.frombuffer(self.jpeg, dtype=np.uint8), cv2.IMREAD_COLOR_RGB)
        if decoded is None or decoded.shape != (self.jpeg_height, self.jpeg_width, 3):
            raise ValueError(f"{self!r} cannot be decoded")
        return np.asarray(decoded, dtype=np.uint8)

    def __repr__(self) -> str:
        identity = f"{self.source_id}/{self.epoch}/{self.seq}"
        return f"Picture({identity}, {self.jpeg_width}x{self.jpeg_height}, {len(self.jpeg)} bytes)"
