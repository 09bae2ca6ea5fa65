"""Masks as outlines: what a reader gets who asked for polygons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.messages.arrays import Float32, Int32
from pipeline.messages.geometry import Transform
from pipeline.messages.panoptic import Segments


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Polygons:
    """Rings around segments, holes among them: a segment is what its rings enclose by the even-odd rule."""

    segments: Segments
    width: int  # of the map that they were drawn around
    height: int
    transform: Transform  # from pixels of the map to source pixels
    tolerance: float  # pixels of the map that a corner of the mask may lie off its ring
    ids: Int32  # [R] of the segment that a ring belongs to
    counts: Int32  # [R] points of a ring, at least 3
    points: Float32  # [P, 2] x, y in source pixels, those of one ring together; the last joins the first

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.counts) or self.points.shape != (int(self.counts.sum()), 2):
            raise ValueError(
                f"Polygons has {len(self.ids)} ids and {len(self.counts)} counts for points "
                f"{list(self.points.shape)}; one a ring, and [sum of counts, 2] are needed"
            )

    def of(self, segment_id: int) -> list[Float32]:
        """The rings of one segment, each [p, 2]."""
        ends = np.cumsum(self.counts)
        return [self.points[ends[r] - self.counts[r] : ends[r]] for r in np.flatnonzero(self.ids == segment_id)]

    def __repr__(self) -> str:
        return f"Polygons({len(self.segments)} segments, {len(self.ids)} rings, {len(self.points)} points)"
