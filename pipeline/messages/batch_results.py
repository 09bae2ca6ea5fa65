"""The results of a batch, which are made one by one where they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from pipeline.messages.arrays import Int64
from pipeline.messages.batch import Batch
from pipeline.messages.blocks import BatchDetections, BatchTracks
from pipeline.messages.detections import Detections
from pipeline.messages.geometry import Classes
from pipeline.messages.results import FrameResult, ModelInfo, Timings, with_track_ids
from pipeline.messages.tracks import NO_TRACK


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BatchResults(Sequence[FrameResult]):
    """One result a frame; what codes them takes the columns of all frames at once."""

    batch: Batch
    classes: Classes
    model: ModelInfo
    timings: Sequence[Timings] | None
    detections: BatchDetections
    tracks: BatchTracks
    track_ids: Int64  # [N] of the detections; NO_TRACK where one has none

    def __len__(self) -> int:
        return len(self.batch)

    @overload
    def __getitem__(self, index: int) -> FrameResult: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[FrameResult, ...]: ...

    def __getitem__(self, index: int | slice) -> FrameResult | tuple[FrameResult, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        batch, frame, bounds = self.batch, self.batch.frames[index], self.detections.bounds
        index %= len(self)
        track_ids = self.track_ids[int(bounds[index]) : int(bounds[index + 1])]
        panoptic = batch.panoptic[index] if batch.panoptic else None
        return FrameResult(
            source_id=frame.source_id,
            epoch=frame.epoch,
            seq=frame.seq,
            pts=frame.pts,
            time_base=frame.time_base,
            capture_time_ns=frame.capture_time_ns,
            clock=frame.clock,
            width=frame.width,
            height=frame.height,
            classes=self.classes,
            model=self.model,
            detections=self.detections[index],
            track_ids=track_ids,
            tracks=self.tracks[index],
            panoptic=None if panoptic is None else with_track_ids(panoptic, track_ids),
            analysed=batch.analysed[index] if batch.analysed else True,
            discontinuity=frame.discontinuity,
            timings=self.timings[index] if self.timings else None,
        )

    def __iter__(self) -> Iterator[FrameResult]:
        return (self[i] for i in range(len(self)))


def results_of(
    batch: Batch,
    *,
    classes: Classes,
    model: ModelInfo,
    timings: Sequence[Timings] | None = None,
) -> BatchResults:
    """The results of a batch that went through all stages; track ids are written into the segment table."""
    detections = BatchDetections.of(batch.detections or (Detections.empty(),) * len(batch))
    tracks = BatchTracks.of(batch.tracks or (), frames=len(batch))
    seen = tracks.detection_index >= 0
    rows = tracks.detection_index + np.repeat(detections.bounds[:-1], np.diff(tracks.bounds))
    track_ids = np.full(len(detections.scores), NO_TRACK, dtype=np.int64)
    track_ids[rows[seen]] = tracks.ids[seen]
    return BatchResults(batch, classes, model, timings, detections, tracks, track_ids)
