"""What flows: frames, batches, detections, panoptic maps, tracks, results and gaps.

All are small frozen dataclasses that check their own shapes and print shapes, never pixels. Collections of objects are
struct-of-arrays: ``detections[mask]`` gives `Detections`; the empty case is ordinary.

Coordinates are ``xyxy`` in pixels of the source frame, origin at the top left corner of the top left pixel, unless a
name says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from fractions import Fraction
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]

Clock = Literal["rtcp", "pts", "host", "recording"]
PixelFormat = Literal["yuv420p", "nv12", "rgb24"]
Matrix = Literal["bt601", "bt709"]
Range = Literal["limited", "full"]
GapReason = Literal["backlog", "late", "decode_error", "inference_error", "worker_restart", "shutdown", "sink_error"]

NO_TRACK = -1


class StructOfArrays:
    """Arrays of equal length, one row an object: indexing with a mask, a slice or indices gives the same type."""

    __slots__ = ()

    def _columns(self) -> dict[str, npt.NDArray[Any] | None]:
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]

    def _check_rows(self, **trailing: tuple[int, ...] | None) -> None:
        """Every column has as many rows as the first and the trailing shape given for it (None: any)."""
        rows: int | None = None
        for name, tail in trailing.items():
            column = getattr(self, name)
            if column is None:
                continue
            rows = len(column) if rows is None else rows
            if len(column) != rows or (tail is not None and column.shape[1:] != tail):
                wanted = f"[{rows}{''.join(f', {n}' for n in tail or ())}]"
                raise ValueError(f"{type(self).__name__}.{name} has shape {list(column.shape)}; {wanted} is needed")

    def __len__(self) -> int:
        return len(next(column for column in self._columns().values() if column is not None))

    def __getitem__(self, rows: npt.NDArray[Any] | slice) -> Self:
        picked = {k: None if column is None else column[rows] for k, column in self._columns().items()}
        return type(self)(**picked)

    def __repr__(self) -> str:
        columns = (f"{k}={list(c.shape)}" for k, c in self._columns().items() if c is not None)
        return f"{type(self).__name__}({', '.join(columns)})"


@dataclass(frozen=True, slots=True)
class Classes:
    """The label space of a result: things first, then stuff; a label is an index into `names`."""

    things: tuple[str, ...]
    stuff: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All class names, by label."""
        return self.things + self.stuff

    def is_thing(self, label: int) -> bool:
        """Whether objects of this class are countable."""
        return label < len(self.things)


@dataclass(frozen=True, slots=True)
class Transform:
    """From pixels of a smaller picture to pixels of the source: ``x_source = x * scale_x + offset_x``."""

    scale_x: float = 1.0
    scale_y: float = 1.0
    offset_x: float = 0.0
    offset_y: float = 0.0

    def apply(self, boxes: Float32) -> Float32:
        """`xyxy` boxes [N, 4] of the smaller picture in pixels of the source."""
        scale = np.array([self.scale_x, self.scale_y] * 2, dtype=np.float32)
        offset = np.array([self.offset_x, self.offset_y] * 2, dtype=np.float32)
        return np.asarray(boxes * scale + offset, dtype=np.float32)

    def invert(self, boxes: Float32) -> Float32:
        """`xyxy` boxes [N, 4] of the source in pixels of the smaller picture."""
        scale = np.array([self.scale_x, self.scale_y] * 2, dtype=np.float32)
        offset = np.array([self.offset_x, self.offset_y] * 2, dtype=np.float32)
        return np.asarray((boxes - offset) / scale, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Surface:
    """A picture as the decoder gave it.

    Planes are uint8: ``yuv420p`` Y [H, W], U and V [ceil(H/2), ceil(W/2)]; ``nv12`` Y [H, W], UV [ceil(H/2),
    ceil(W/2), 2]; ``rgb24`` one plane [H, W, 3].
    """

    format: PixelFormat
    planes: tuple[UInt8, ...]
    matrix: Matrix = "bt601"
    range: Range = "limited"

    def __post_init__(self) -> None:
        height, width = self.planes[0].shape[:2]
        half = ((height + 1) // 2, (width + 1) // 2)
        shapes: dict[str, list[tuple[int, ...]]] = {
            "yuv420p": [(height, width), half, half],
            "nv12": [(height, width), (*half, 2)],
            "rgb24": [(height, width, 3)],
        }
        if self.format not in shapes:
            raise ValueError(f"Surface.format is {self.format!r}; one of {', '.join(shapes)} is needed")
        if [plane.shape for plane in self.planes] != shapes[self.format]:
            given = [list(plane.shape) for plane in self.planes]
            raise ValueError(f"Surface.planes of {self.format} have shapes {given}; {shapes[self.format]} are needed")

    @property
    def height(self) -> int:
        """Rows of the picture."""
        return int(self.planes[0].shape[0])

    @property
    def width(self) -> int:
        """Columns of the picture."""
        return int(self.planes[0].shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes of all planes."""
        return sum(plane.nbytes for plane in self.planes)

    def __repr__(self) -> str:
        return f"Surface({self.format}, {self.width}x{self.height}, {self.matrix}, {self.range})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Frame:
    """One decoded frame: who it is, when it was captured, and its surface."""

    source_id: str
    epoch: int  # from 1
    seq: int  # from 0, without holes within an epoch
    pts: int | None  # in units of time_base, as the container gave it
    time_base: Fraction
    capture_time_ns: int  # wall clock, since 1970
    clock: Clock
    arrival_monotonic_ns: int  # when the decoder handed it out, on the monotonic clock of this machine
    surface: Surface
    discontinuity: bool = False  # the time line or the clock changed just before this frame

    @property
    def width(self) -> int:
        """Columns of the source picture."""
        return self.surface.width

    @property
    def height(self) -> int:
        """Rows of the source picture."""
        return self.surface.height

    @property
    def identity(self) -> tuple[str, int, int]:
        """`(source_id, epoch, seq)`: unique for ever."""
        return self.source_id, self.epoch, self.seq

    def __repr__(self) -> str:
        return f"Frame({self.source_id}/{self.epoch}/{self.seq}, {self.surface!r}, {self.clock})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Detections(StructOfArrays):
    """Boxes found in one frame.

    `coefficients` weigh a network's prototype masks, where it has them. `scores` are what suppression left of
    `raw_scores`.
    """

    boxes: Float32  # [N, 4] xyxy, source pixels
    scores: Float32  # [N] 0..1, after suppression
    labels: Int32  # [N]
    raw_scores: Float32  # [N] 0..1, as the network gave them
    coefficients: Float32 | None = None  # [N, K]

    def __post_init__(self) -> None:
        self._check_rows(boxes=(4,), scores=(), labels=(), raw_scores=(), coefficients=None)

    @classmethod
    def of(cls, boxes: Float32, scores: Float32, labels: Int32, *, coefficients: Float32 | None = None) -> Detections:
        """Detections whose scores are still the network's own."""
        return cls(boxes=boxes, scores=scores, labels=labels, raw_scores=scores, coefficients=coefficients)

    @classmethod
    def empty(cls) -> Detections:
        """No detections."""
        none = np.zeros(0, dtype=np.float32)
        return cls.of(np.zeros((0, 4), dtype=np.float32), none, np.zeros(0, dtype=np.int32))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SemanticMap:
    """A network's class scores for each pixel of one frame, at the network's output scale."""

    logits: Float32  # [S, h, w], S classes in the segmenter's order
    transform: Transform  # from pixels of the map to source pixels
    valid_height: int  # rows of the map that show the picture; the rest is letterbox padding
    valid_width: int

    def __repr__(self) -> str:
        return f"SemanticMap({list(self.logits.shape)}, {self.valid_width}x{self.valid_height} valid)"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Prototypes:
    """A network's prototype masks for one frame: a mask is ``sigmoid(coefficients @ masks)`` inside its box."""

    masks: Float32  # [K, h, w]
    transform: Transform  # from pixels of the map to source pixels
    valid_height: int
    valid_width: int

    def __repr__(self) -> str:
        return f"Prototypes({list(self.masks.shape)}, {self.valid_width}x{self.valid_height} valid)"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Segments(StructOfArrays):
    """The segment table of a panoptic map; a row a segment."""

    ids: Int32  # [S] as in the map, from 1
    labels: Int32  # [S]
    is_thing: npt.NDArray[np.bool_]  # [S]
    scores: Float32  # [S] of the detection; 1 for stuff
    areas: Int32  # [S] pixels of the map
    boxes: Float32  # [S, 4] xyxy, source pixels
    detection_index: Int32  # [S] row in the frame's detections; -1 for stuff
    track_ids: Int64  # [S] NO_TRACK for stuff and for things without a track

    def __post_init__(self) -> None:
        self._check_rows(
            ids=(), labels=(), is_thing=(), scores=(), areas=(), boxes=(4,), detection_index=(), track_ids=()
        )

    @classmethod
    def empty(cls) -> Segments:
        """No segments."""
        i32 = np.zeros(0, dtype=np.int32)
        f32 = np.zeros(0, dtype=np.float32)
        return cls(i32, i32, i32.astype(bool), f32, i32, f32.reshape(0, 4), i32, i32.astype(np.int64))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PanopticMap:
    """Which segment each pixel belongs to, at the map's own size; 0 is void."""

    ids: npt.NDArray[np.uint16]  # [h, w]
    segments: Segments
    transform: Transform  # from pixels of the map to source pixels

    def __post_init__(self) -> None:
        if self.ids.ndim != 2 or self.ids.dtype != np.uint16:
            raise ValueError(f"PanopticMap.ids is {self.ids.dtype} {list(self.ids.shape)}; uint16 [h, w] is needed")

    @property
    def height(self) -> int:
        """Rows of the map."""
        return int(self.ids.shape[0])

    @property
    def width(self) -> int:
        """Columns of the map."""
        return int(self.ids.shape[1])

    def at_size(self, width: int, height: int) -> npt.NDArray[np.uint16]:
        """The id map [height, width] of the source picture, each pixel from the map pixel its centre falls in."""
        xs = (np.arange(width) + 0.5 - self.transform.offset_x) / self.transform.scale_x
        ys = (np.arange(height) + 0.5 - self.transform.offset_y) / self.transform.scale_y
        columns = np.clip(xs.astype(np.intp), 0, self.width - 1)
        rows = np.clip(ys.astype(np.intp), 0, self.height - 1)
        return np.ascontiguousarray(self.ids[rows[:, None], columns[None, :]])

    def mask(self, segment_id: int) -> npt.NDArray[np.bool_]:
        """Pixels [h, w] of one segment."""
        return np.asarray(self.ids == segment_id)

    def __repr__(self) -> str:
        return f"PanopticMap({self.width}x{self.height}, {len(self.segments)} segments)"


class TrackState(IntEnum):
    """Where a track stands in its life."""

    TENTATIVE = 0
    CONFIRMED = 1
    LOST = 2


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Tracks(StructOfArrays):
    """The tracks of one source that are alive at one frame; lost ones with their predicted box."""

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

    def of_detections(self, count: int) -> Int64:
        """The track id of each of a frame's `count` detections [count], NO_TRACK where it has none."""
        ids = np.full(count, NO_TRACK, dtype=np.int64)
        seen = self.detection_index >= 0
        ids[self.detection_index[seen]] = self.ids[seen]
        return ids


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Frames that go through the network together, and what the stages have found; each field one entry a frame."""

    frames: tuple[Frame, ...]
    detections: tuple[Detections, ...] | None = None
    prototypes: tuple[Prototypes, ...] | None = None
    semantic: tuple[SemanticMap, ...] | None = None
    panoptic: tuple[PanopticMap, ...] | None = None
    tracks: tuple[Tracks, ...] | None = None
    analysed: tuple[bool, ...] | None = None  # None: every frame was

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if value is not None and len(value) != len(self.frames):
                raise ValueError(f"Batch.{f.name} has {len(value)} entries for {len(self.frames)} frames")

    def __len__(self) -> int:
        return len(self.frames)

    def with_(self, **changes: Any) -> Batch:
        """The same batch with fields added or replaced."""
        return replace(self, **changes)


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


@dataclass(frozen=True, slots=True)
class Latency:
    """From arrival to the result handed to the sinks, over all frames of a source."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How a source is doing, as published on `<source_id>/status/`."""

    source_id: str
    state: str  # a SourceState
    epoch: int
    message: str = ""  # why, without secrets
    captured: int = 0  # frames decoded, over all epochs of this run
    resulted: int = 0
    dropped: dict[str, int] = field(default_factory=dict)  # by reason
    in_flight: int = 0
    undecoded: int = 0  # packets that gave no frame
    width: int = 0
    height: int = 0
    codec: str = ""
    frame_rate: float = 0.0  # measured, frames a second
    reconnects: int = 0
    last_frame_time_ns: int = 0
    retry_in_seconds: float | None = None
    latency: Latency | None = None
    expected_frames: int | None = None  # of a file, where its container tells

    @property
    def balance(self) -> int:
        """Frames unaccounted for: zero, or the ledger is wrong."""
        return self.captured - self.resulted - sum(self.dropped.values()) - self.in_flight


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """A whole run at one instant."""

    sources: tuple[SourceStatus, ...]
    elapsed_seconds: float
    notes: tuple[str, ...] = ()  # what `auto` chose, one sentence each
    finished: bool = False

    @property
    def resulted(self) -> int:
        """Results of all sources."""
        return sum(source.resulted for source in self.sources)

    @property
    def frames_per_second(self) -> float:
        """Results a second since the first frame was asked for."""
        return self.resulted / self.elapsed_seconds if self.elapsed_seconds > 0 else 0.0


Item = FrameResult | Gap | SourceStatus


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
