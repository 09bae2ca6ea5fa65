"""The tracks a tracker follows, one row a track, in order of birth."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from pipeline.messages import Float32, Int32, Int64, StructOfArrays, TrackState, UInt8
from stages.track.masks import Masks
from tests.stages.track.slow import motion, observed

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Table(StructOfArrays):
    """Rows of live tracks; the arrays change in place.

    A tentative track that is missed once ends, so tracks are confirmed in order of birth and `ids` rise with the rows.
    """

    states: Float64  # [M, 4, 5] see `motion`
    labels: Int32  # [M]
    scores: Float32  # [M] of the last detection
    ids: Int64  # [M] 0 until confirmed
    phase: UInt8  # [M] TrackState
    sightings: Int32  # [M]
    seen_seconds: Float64  # [M] when it was seen last
    seen_states: Float64  # [M, 4, 5] as it was then
    seen_boxes: Float32  # [M, 4] where
    courses: Float64  # [M, 7] see `observed`
    patches: UInt8  # [M, PATCH * PATCH] its mask, when it had one last
    fills: Float32  # [M] share of its box that it covers

    @classmethod
    def empty(cls) -> Table:
        """No tracks."""
        nothing = np.zeros(0, np.float32)
        none = Masks.none(0)
        return born(np.zeros((0, 4), np.float32), np.zeros(0, np.int32), nothing, 0.0, none.patches, none.fills)

    def joined(self, younger: Table) -> Table:
        """These tracks, then the younger ones."""
        columns = {f.name: np.concatenate([getattr(self, f.name), getattr(younger, f.name)]) for f in fields(self)}
        return Table(**columns)


def born(boxes: Float32, labels: Int32, scores: Float32, time_seconds: float, patches: UInt8, fills: Float32) -> Table:
    """Tentative tracks of boxes [N, 4] seen for the first time."""
    count = len(boxes)
    states = motion.begin(boxes.astype(np.float64))
    return Table(
        states=states,
        labels=labels,
        scores=scores.astype(np.float32),
        ids=np.zeros(count, dtype=np.int64),
        phase=np.full(count, TrackState.TENTATIVE, dtype=np.uint8),
        sightings=np.ones(count, dtype=np.int32),
        seen_seconds=np.full(count, time_seconds),
        seen_states=states.copy(),
        seen_boxes=boxes.astype(np.float32),
        courses=observed.courses_of(boxes, time_seconds),
        patches=patches.copy(),
        fills=fills.copy(),
    )
