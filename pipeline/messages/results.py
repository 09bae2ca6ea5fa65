"""What leaves the system: a result for each frame, or the gap it lies in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

import numpy as np

from pipeline.messages.arrays import Int64
from pipeline.messages.batch import Batch
from pipeline.messages.detections import Detections
from pipeline.messages.frames import Clock
from pipeline.messages.geometry import Classes
from pipeline.messages.panoptic import PanopticMap
from pipeline.messages.tracks import NO_TRACK, Tracks

GapReason = Literal["backlog", "late", "decode_error", "inference_error", "worker_restart", "shutdown", "sink_error"]


@dataclass(frozen=True, slots=True)
class Timings:
    """What varies from run to run: kept out of files that must repeat byte for byte."""

    batch_size: int
    wait_ms: float  # from arrival to the start of the batch
    stage_ms: dict[str, float] = field(default_factory=dict)  # of the whole batch, by stage name
    latency_ms: float | None = None  # arrival to hand-over, set by the publisher


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Which network gave a result."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Frames `first_seq`..`last_seq` of one epoch that have no result, and why."""

    source_id: str
    epoch: int
    first_seq: int
    last_seq: int
    reason: GapReason

    def __post_init__(self) -> None:
        if self.last_seq < self.first_seq:
            raise ValueError(f"Gap.last_seq is {self.last_seq}, before first_seq {self.first_seq}")

    @property
    def count(self) -> int:
        """Frames in the gap."""
        return self.last_seq - self.first_seq + 1


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FrameResult:
    """What leaves the system for one frame."""

    source_id: str
    epoch: int
    seq: int
    pts: int | None
    time_base: Fraction
    capture_time_ns: int
    clock: Clock
    width: int
    height: int
    classes: Classes
    model: ModelInfo
    detections: Detections
    track_ids: Int64  # [N] of the detections; NO_TRACK where one has none
    tracks: Tracks
    panoptic: PanopticMap | None = None
    analysed: bool = True
    discontinuity: bool = False
    gap_before: int = 0  # frames lost just before this one
    timings: Timings | None = None

    def __post_init__(self) -> None:
        if len(self.track_ids) != len(self.detections):
            raise ValueError(
                f"FrameResult.track_ids has {len(self.track_ids)} entries for {len(self.detections)} detections"
            )

    @property
    def identity(self) -> tuple[str, int, int]:
        """`(source_id, epoch, seq)`: unique for ever."""
        return self.source_id, self.epoch, self.seq

    @property
    def pts_seconds(self) -> float | None:
        """Presentation time in seconds on the source's own time line."""
        return None if self.pts is None else float(self.pts * self.time_base)

    def class_name(self, label: int) -> str:
        """The name of a label of this result."""
        return self.classes.names[label]

    def __repr__(self) -> str:
        return (
            f"FrameResult({self.source_id}/{self.epoch}/{self.seq}, {self.width}x{self.height}, "
            f"{len(self.detections)} detections, {len(self.tracks)} tracks, {self.panoptic!r})"
        )


def results_of(
    batch: Batch,
    *,
    classes: Classes,
    model: ModelInfo,
    timings: Sequence[Timings] | None = None,
) -> Iterator[FrameResult]:
    """One result a frame of a batch that went through all stages; track ids are written into the segment table."""
    for i, frame in enumerate(batch.frames):
        detections = batch.detections[i] if batch.detections else Detections.empty()
        tracks = batch.tracks[i] if batch.tracks else Tracks.empty()
        track_ids = tracks.of_detections(len(detections))
        panoptic = batch.panoptic[i] if batch.panoptic else None
        yield FrameResult(
            source_id=frame.source_id,
            epoch=frame.epoch,
            seq=frame.seq,
            pts=frame.pts,
            time_base=frame.time_base,
            capture_time_ns=frame.capture_time_ns,
            clock=frame.clock,
            width=frame.width,
            height=frame.height,
            classes=classes,
            model=model,
            detections=detections,
            track_ids=track_ids,
            tracks=tracks,
            panoptic=None if panoptic is None else with_track_ids(panoptic, track_ids),
            analysed=batch.analysed[i] if batch.analysed else True,
            discontinuity=frame.discontinuity,
            timings=timings[i] if timings else None,
        )


def with_track_ids(panoptic: PanopticMap, track_ids: Int64) -> PanopticMap:
    """The map whose thing segments carry the track id of the detection they came from."""
    segments = panoptic.segments
    padded = np.append(track_ids, NO_TRACK)  # index -1, stuff, finds NO_TRACK
    return replace(panoptic, segments=replace(segments, track_ids=padded[segments.detection_index]))
