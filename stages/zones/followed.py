"""The tracks of one source's epoch, and how each stands to every line and zone: a row a track."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

OUTSIDE, INSIDE, VISITING = 0, 1, 2  # INSIDE: not yet for as long as the zone asks


@dataclass(slots=True, eq=False)
class Followed:
    """Struct of arrays, sorted by id. A track is here from when it is first seen to its end, lost or not."""

    ids: npt.NDArray[np.int64]  # [T]
    anchors: npt.NDArray[np.float64]  # [T, 2] pixels, where it was seen last
    boxes: npt.NDArray[np.float64]  # [T, 4] xyxy
    scores: npt.NDArray[np.float64]  # [T]
    labels: npt.NDArray[np.int64]  # [T]
    crossing: npt.NDArray[np.int64]  # [T, L] net crossings since it was last far from the line
    phase: npt.NDArray[np.uint8]  # [T, Z] OUTSIDE, INSIDE, VISITING
    entered_ns: npt.NDArray[np.int64]  # [T, Z] of the visit
    inside_ns: npt.NDArray[np.int64]  # [T, Z] when it was last seen inside

    @classmethod
    def new(cls, ids: npt.NDArray[np.int64], lines: int, zones: int) -> Self:
        """Tracks of which nothing is known yet."""
        count = len(ids)
        return cls(
            ids=ids,
            anchors=np.zeros((count, 2)),
            boxes=np.zeros((count, 4)),
            scores=np.zeros(count),
            labels=np.zeros(count, dtype=np.int64),
            crossing=np.zeros((count, lines), dtype=np.int64),
            phase=np.zeros((count, zones), dtype=np.uint8),
            entered_ns=np.zeros((count, zones), dtype=np.int64),
            inside_ns=np.zeros((count, zones), dtype=np.int64),
        )

    def __getitem__(self, rows: Any) -> Self:
        return type(self)(*(getattr(self, f.name)[rows] for f in fields(self)))

    def with_new(self, ids: npt.NDArray[np.int64]) -> Self:
        """Those and new ones, sorted."""
        new = type(self).new(ids, self.crossing.shape[1], self.phase.shape[1])
        joined = type(self)(*(np.concatenate([getattr(self, f.name), getattr(new, f.name)]) for f in fields(self)))
        return joined[np.argsort(joined.ids)]
