"""What leaves the system: a result for each frame, or the gap it lies in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from pipeline.messages.arrays import Int64, UInt8
from pipeline.messages.detections import Detections
from pipeline.messages.frames import Clock
from pipeline.messages.geometry import Classes
from pipeline.messages.panoptic import PanopticMap
from pipeline.messages.polygons import Polygons
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
    polygons: Polygons | None = None  # in place of `panoptic`, at a reader who asked for them

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

    def to_dict(self) -> dict[str, Any]:
        """The JSON form as plain objects."""
        from pipeline import convert

        return convert.to_dict(self)

    def to_coco(self, *, image_id: int | None = None) -> dict[str, Any]:
        """A COCO data set of this one picture, masks as run lengths; see `pipeline.convert`."""
        from pipeline import convert

        return convert.to_coco(self, image_id=image_id)

    def to_supervision(self) -> Any:
        """`supervision.Detections`, with masks where there are some. Needs the package `supervision`."""
        from pipeline import convert

        return convert.to_supervision(self)

    def draw(self, image: UInt8, *, before: Iterable[FrameResult] = ()) -> UInt8:
        """The source's picture, RGB [height, width, 3], with this result drawn over it; `image` is not changed.

        Results of its source in `before`, oldest first, leave the trails of the last two seconds. Raises
        `ValueError` where the picture is not of the size that the result is about.
        """
        from pipeline import convert

        return convert.draw(self, image, before=before)

    def __repr__(self) -> str:
        return (
            f"FrameResult({self.source_id}/{self.epoch}/{self.seq}, {self.width}x{self.height}, "
            f"{len(self.detections)} detections, {len(self.tracks)} tracks, {self.polygons or self.panoptic!r})"
        )


def with_track_ids(panoptic: PanopticMap, track_ids: Int64) -> PanopticMap:
    """The map whose thing segments carry the track id of the detection they came from."""
    segments = panoptic.segments
    padded = np.append(track_ids, NO_TRACK)  # index -1, stuff, finds NO_TRACK
    return panoptic.with_segments(segments.with_track_ids(padded[segments.detection_index]))
