"""What flows: frames, batches, detections, panoptic maps, tracks, results and gaps.

All are small frozen dataclasses that check their own shapes and print shapes, never pixels. Collections of objects are
struct-of-arrays: ``detections[mask]`` gives `Detections`; the empty case is ordinary.

Coordinates are ``xyxy`` in pixels of the source frame, origin at the top left corner of the top left pixel, unless a
name says otherwise.
"""

from __future__ import annotations

from pipeline.messages.arrays import Float32, Int32, Int64, StructOfArrays, UInt8
from pipeline.messages.batch import Batch
from pipeline.messages.batch_results import BatchResults, results_of
from pipeline.messages.blocks import BatchDetections, BatchTracks
from pipeline.messages.detections import Detections, LabelMap, Prototypes, SemanticMap
from pipeline.messages.frames import Clock, DeviceSurface, Frame, Matrix, PixelFormat, Range, Surface, on_host
from pipeline.messages.geometry import Classes, Transform
from pipeline.messages.packets import CodedPacket, StreamHeader
from pipeline.messages.panoptic import PanopticMap, PanopticRuns, Segments, runs_of
from pipeline.messages.picture import Picture
from pipeline.messages.pieces import Counted, Piece, Survey
from pipeline.messages.polygons import Polygons
from pipeline.messages.results import FrameResult, Gap, GapReason, ModelInfo, Timings, with_track_ids
from pipeline.messages.status import Latency, RunStatistics, SourceStatus
from pipeline.messages.tracks import NO_TRACK, Tracks, TrackState
from pipeline.messages.zone_event import LeftReason, ZoneEvent, ZoneEventType

Item = FrameResult | Gap | SourceStatus | Picture | ZoneEvent

__all__ = [
    "NO_TRACK",
    "Batch",
    "BatchDetections",
    "BatchResults",
    "BatchTracks",
    "Classes",
    "Clock",
    "CodedPacket",
    "Counted",
    "Detections",
    "DeviceSurface",
    "Float32",
    "Frame",
    "FrameResult",
    "Gap",
    "GapReason",
    "Int32",
    "Int64",
    "Item",
    "LabelMap",
    "Latency",
    "LeftReason",
    "Matrix",
    "ModelInfo",
    "PanopticMap",
    "PanopticRuns",
    "Picture",
    "Piece",
    "PixelFormat",
    "Polygons",
    "Prototypes",
    "Range",
    "RunStatistics",
    "Segments",
    "SemanticMap",
    "SourceStatus",
    "StreamHeader",
    "StructOfArrays",
    "Surface",
    "Survey",
    "Timings",
    "TrackState",
    "Tracks",
    "Transform",
    "UInt8",
    "ZoneEvent",
    "ZoneEventType",
    "on_host",
    "results_of",
    "runs_of",
    "with_track_ids",
]
