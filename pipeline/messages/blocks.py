"""What is found in all frames of a batch, in one block of columns: stages work on it at once, and not frame by frame.

A block is a sequence, an entry a frame, whose entries are made where they are asked for and share its memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from pipeline.messages.arrays import Float32, Int32, Int64
from pipeline.messages.detections import Detections
from pipeline.messages.tracks import Tracks


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BatchDetections(Sequence[Detections]):
    """The detections of a batch; rows ``bounds[i]`` to ``bounds[i + 1]`` are frame i's."""

    boxes: Float32  # [N, 4] xyxy, source pixels of their frame
    scores: Float32  # [N]
    labels: Int32  # [N]
    raw_scores: Float32  # [N]
    coefficients: Float32 | None  # [N, K]
    bounds: Int64  # [B + 1]

    @classmethod
    def of(cls, found: Sequence[Detections]) -> BatchDetections:
        """One block of what each frame has; the same object where it is one already."""
        if isinstance(found, BatchDetections):
            return found
        # A frame without detections may know nothing of coefficients; among others one that has none is without masks.
        given = [one.coefficients for one in found if one.coefficients is not None]
        with_masks = given and all(one.coefficients is not None for one in found if len(one))
        return cls(
            boxes=_joined([one.boxes for one in found], np.float32, (4,)),
            scores=_joined([one.scores for one in found], np.float32),
            labels=_joined([one.labels for one in found], np.int32),
            raw_scores=_joined([one.raw_scores for one in found], np.float32),
            coefficients=_joined(given, np.float32) if with_masks else None,
            bounds=bounds_of([len(one) for one in found]),
        )

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @overload
    def __getitem__(self, index: int) -> Detections: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Detections, ...]: ...

    def __getitem__(self, index: int | slice) -> Detections | tuple[Detections, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        rows = _rows(self.bounds, index)
        return Detections(
            self.boxes[rows],
            self.scores[rows],
            self.labels[rows],
            self.raw_scores[rows],
            None if self.coefficients is None else self.coefficients[rows],
        )

    def __iter__(self) -> Iterator[Detections]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"BatchDetections({len(self)} frames, {len(self.scores)} detections)"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BatchTracks(Sequence[Tracks]):
    """The tracks at the frames of a batch; rows ``bounds[i]`` to ``bounds[i + 1]`` are frame i's."""

    ids: Int64  # [M]
    boxes: Float32  # [M, 4]
    labels: Int32  # [M]
    scores: Float32  # [M]
    states: npt.NDArray[np.uint8]  # [M]
    detection_index: Int32  # [M] row in its frame's detections
    bounds: Int64  # [B + 1]

    @classmethod
    def of(cls, found: Sequence[Tracks], *, frames: int) -> BatchTracks:
        """One block of what each frame has, or of nothing; the same object where it is one already."""
        if isinstance(found, BatchTracks):
            return found
        return cls(
            ids=_joined([one.ids for one in found], np.int64),
            boxes=_joined([one.boxes for one in found], np.float32, (4,)),
            labels=_joined([one.labels for one in found], np.int32),
            scores=_joined([one.scores for one in found], np.float32),
            states=_joined([one.states for one in found], np.uint8),
            detection_index=_joined([one.detection_index for one in found], np.int32),
            bounds=bounds_of([len(one) for one in found] or [0] * frames),
        )

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @overload
    def __getitem__(self, index: int) -> Tracks: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Tracks, ...]: ...

    def __getitem__(self, index: int | slice) -> Tracks | tuple[Tracks, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        rows = _rows(self.bounds, index)
        return Tracks(
            self.ids[rows],
            self.boxes[rows],
            self.labels[rows],
            self.scores[rows],
            self.states[rows],
            self.detection_index[rows],
        )

    def __iter__(self) -> Iterator[Tracks]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"BatchTracks({len(self)} frames, {len(self.ids)} tracks)"


def bounds_of(counts: Sequence[int]) -> Int64:
    """Where each frame's rows begin and end [B + 1]."""
    bounds = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=bounds[1:])
    return bounds


def _rows(bounds: Int64, index: int) -> slice:
    if index < 0:
        index += len(bounds) - 1
    if not 0 <= index < len(bounds) - 1:
        raise IndexError(f"frame {index} of a batch of {len(bounds) - 1}")
    return slice(int(bounds[index]), int(bounds[index + 1]))


def _joined(columns: Sequence[npt.NDArray[Any]], dtype: type, tail: tuple[int, ...] = ()) -> npt.NDArray[Any]:
    """The columns one after another, of this type, in memory without holes; not copied where there is one and it is."""
    if not columns:
        return np.zeros((0, *tail), dtype=dtype)
    return np.ascontiguousarray(columns[0] if len(columns) == 1 else np.concatenate(columns), dtype=dtype)
