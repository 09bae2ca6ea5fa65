"""Which segment each pixel of a frame belongs to, and the table of the segments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.messages.arrays import Float32, Int32, Int64, StructOfArrays
from pipeline.messages.geometry import Transform

Runs = tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint16]]  # lengths and ids


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

    def with_track_ids(self, track_ids: Int64) -> Segments:
        """The same segments with these tracks."""
        return Segments(
            self.ids,
            self.labels,
            self.is_thing,
            self.scores,
            self.areas,
            self.boxes,
            self.detection_index,
            track_ids,
        )

    def of_detections(self, count: int) -> Int32:
        """The segment id of each of a frame's `count` detections [count], 0 where it has no mask."""
        ids = np.zeros(count, dtype=np.int32)
        seen = self.detection_index >= 0
        ids[self.detection_index[seen]] = self.ids[seen]
        return ids

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
        return self.ids.take(columns, axis=1).take(rows, axis=0)  # a tenth of the time of both at once

    def runs(self) -> Runs:
        """Lengths [n] and ids [n] of its runs; see `runs_of`."""
        return runs_of(self.ids)

    def mask(self, segment_id: int) -> npt.NDArray[np.bool_]:
        """Pixels [h, w] of one segment."""
        return np.asarray(self.ids == segment_id)

    def with_segments(self, segments: Segments) -> PanopticMap:
        """The same map with another table."""
        return PanopticMap(self.ids, segments, self.transform)

    def __repr__(self) -> str:
        return f"PanopticMap({self.width}x{self.height}, {len(self.segments)} segments)"


class PanopticRuns(PanopticMap):
    """A map that is known by its runs, row by row, as it goes over the wire; pixels are made where they are asked for.

    Runs lengths [n] are at least 1 and add up to all pixels; neighbours have different ids [n].
    """

    __slots__ = ("_height", "_pixels", "_width", "lengths", "values")

    lengths: npt.NDArray[np.uint32]
    values: npt.NDArray[np.uint16]
    _width: int
    _height: int
    _pixels: npt.NDArray[np.uint16] | None

    def __init__(
        self,
        lengths: npt.NDArray[np.uint32],
        values: npt.NDArray[np.uint16],
        *,
        width: int,
        height: int,
        segments: Segments,
        transform: Transform,
    ) -> None:
        put = object.__setattr__
        put(self, "lengths", lengths)
        put(self, "values", values)
        put(self, "segments", segments)
        put(self, "transform", transform)
        put(self, "_width", width)
        put(self, "_height", height)
        put(self, "_pixels", None)

    @property
    def ids(self) -> npt.NDArray[np.uint16]:
        """The map [h, w]."""
        pixels = self._pixels
        if pixels is None:
            pixels = np.repeat(self.values, self.lengths).reshape(self._height, self._width)
            object.__setattr__(self, "_pixels", pixels)
        return pixels

    @property
    def height(self) -> int:
        """Rows of the map."""
        return self._height

    @property
    def width(self) -> int:
        """Columns of the map."""
        return self._width

    def runs(self) -> Runs:
        """Lengths [n] and ids [n] of its runs, as they are."""
        return self.lengths, self.values

    def with_segments(self, segments: Segments) -> PanopticRuns:
        """The same map with another table."""
        return PanopticRuns(
            self.lengths,
            self.values,
            width=self._width,
            height=self._height,
            segments=segments,
            transform=self.transform,
        )


def runs_of(ids: npt.NDArray[np.uint16]) -> Runs:
    """Lengths [n] and ids [n] of the runs of a map [h, w], row by row. Raises `ValueError` where it has no pixels."""
    if ids.size == 0:
        raise ValueError(f"an id map of shape {list(ids.shape)} has no pixels, and no runs")
    flat = np.ascontiguousarray(ids).reshape(-1)
    starts = np.ones(flat.size + 1, dtype=bool)  # of each run, and of what would follow the last
    np.not_equal(flat[1:], flat[:-1], out=starts[1:-1])
    at = starts.nonzero()[0]
    return (at[1:] - at[:-1]).astype(np.uint32), flat.take(at[:-1])
