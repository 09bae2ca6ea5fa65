"""A result from the record it was read into, in whichever of the two forms, and from its decoded tables."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

from pipeline.messages import (
    Classes,
    Clock,
    Detections,
    FrameResult,
    Int64,
    ModelInfo,
    PanopticMap,
    Polygons,
    Timings,
    Tracks,
)
from pipeline.wire.json_schema import ResultHead
from pipeline.wire.schema import ResultRecord


def assemble(
    record: ResultRecord | ResultHead,
    *,
    classes: Classes,
    detections: Detections,
    track_ids: Int64,
    tracks: Tracks,
    panoptic: PanopticMap | None,
    polygons: Polygons | None = None,
    gap_before: int,
    timings: Timings | None,
) -> FrameResult:
    """The result whose identity, time and picture are the record's."""
    return FrameResult(
        source_id=record.source_id,
        epoch=record.epoch,
        seq=record.seq,
        pts=record.pts,
        time_base=Fraction(*record.time_base),
        capture_time_ns=record.capture_time_ns,
        clock=cast(Clock, record.clock),
        width=record.width,
        height=record.height,
        classes=classes,
        model=ModelInfo(record.model.name, record.model.version),
        detections=detections,
        track_ids=track_ids,
        tracks=tracks,
        panoptic=panoptic,
        polygons=polygons,
        analysed=record.analysed,
        discontinuity=record.discontinuity,
        gap_before=gap_before,
        timings=timings,
    )
