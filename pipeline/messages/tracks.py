"""Identities over time, as they stand at one frame."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from pipeline.messages.arrays import Float32, Int32, Int64, StructOfArrays

NO_TRACK = -1


class TrackState(IntEnum):
    """Where a track stands in its life; the last two are told once, and then it is no more."""

    TENTATIVE = 0  # seen too few times to have an id
    CONFIRMED = 1  # seen now
    LOST = 2  # not seen now; its box is predicted
    ENDED = 3  # not seen for `tracker.lost_seconds`
    LEFT = 4  # likewise, and its box is expected outside the picture


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Tracks(StructOfArrays):
    """The tracks of one source at one frame; lost ones with their predicted box, ended ones once more with theirs."""

    ids: Int64  # [M] unique within source and epoch, from 1
    boxes: Float32  # [M, 4] xyxy, source pixels; predicted where the track was not seen
    labels: Int32  # [M]
    scores: Float32  # [M] of the last detection
    states: npt.NDArray[np.uint8]  # [M] TrackState
    detection_index: Int32  # [M] row in the frame's detections, -1 where the track was not seen

    def __post_init__(self) -> None:
        self._check_rows(ids=(), boxes=(4,), labels=(), scores=(), states=(), detection_index=())

    @classmethod
    def empty(cls) -> Tracks:
        """No tracks."""
        i32 = np.zeros(0, dtype=np.int32)
        f32 = np.zeros(0, dtype=np.float32)
        return cls(i32.astype(np.int64), f32.reshape(0, 4), i32, f32, i32.astype(np.uint8), i32)

    @property
    def alive(self) -> npt.NDArray[np.bool_]:
        """Which have an id and are not over [M]."""
        return np.asarray((self.states == TrackState.CONFIRMED) | (self.states == TrackState.LOST))

    def of_detections(self, count: int) -> Int64:
        """The track id of each of a frame's `count` detections [count], NO_TRACK where it has none."""
        ids = np.full(count, NO_TRACK, dtype=np.int64)
        seen = self.detection_index >= 0
        ids[self.detection_index[seen]] = self.ids[seen]
        return ids
