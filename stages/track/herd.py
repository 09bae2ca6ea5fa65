"""The trackers of all sources, stepped together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.config import TrackerConfig
from pipeline.messages import BatchDetections, BatchTracks, Float32, Int32, Int64, UInt8
from stages.track.masks import NO_MASKS, Masks
from stages.track.step import PATCH, step

Float64 = npt.NDArray[np.float64]

# A direction is that between observations at least so far apart: OC-SORT's three frames at 30 a second.
DIRECTION_SECONDS = 0.1
_Settings = tuple[
    float, float, float, float, float, int, float, bool, float, float, float, float
]  # of `step`, in its order
_NO_MOTIONS: Float64 = np.zeros((0, 6))
_NO_SIZES: Int64 = np.zeros((0, 2), dtype=np.int64)
FIRST_ROWS = 32  # of a tracker: tracks it has room for before it must move


class Herd:
    """Trackers by number. Each gives the boxes of one source's consecutive frames identities.

    Ids count from 1 and are given when a track is confirmed, so that false alarms use none up. Only boxes of one label
    continue a track. Times are seconds on any clock that moves forward, evenly or not.

    Tracks of all lie in one table. A tracker has consecutive rows, and moves to the end where it needs more; the table
    is made anew, without the rows that were left behind, when it is full.
    """

    def __init__(self, config: TrackerConfig) -> None:
        self.config = config
        self._settings = _settings_of(config)
        self._starts: Int64 = np.zeros(0, dtype=np.int64)
        self._room: Int64 = np.zeros(0, dtype=np.int64)
        self._counts: Int64 = np.zeros(0, dtype=np.int64)
        self._lasts: Float64 = np.zeros(0)
        self._next_ids: Int64 = np.zeros(0, dtype=np.int64)
        self._free: list[int] = []
        self._used = 0  # rows of the table, left behind ones included
        self._states: Float64 = np.zeros((0, 4, 5))
        self._labels: Int32 = np.zeros(0, dtype=np.int32)
        self._scores: Float32 = np.zeros(0, dtype=np.float32)
        self._ids: Int64 = np.zeros(0, dtype=np.int64)
        self._phase: UInt8 = np.zeros(0, dtype=np.uint8)
        self._sightings: Int32 = np.zeros(0, dtype=np.int32)
        self._seen_seconds: Float64 = np.zeros(0)
        # Only what is asked for has rows; masks from the first frame that has some.
        self._by_masks = False
        self._seen_states: Float64 = np.zeros((0, 4, 5))
        self._seen_boxes: Float32 = np.zeros((0, 4), dtype=np.float32)
        self._courses: Float64 = np.zeros((0, 7))
        self._masks: UInt8 = np.zeros((0, PATCH * PATCH), dtype=np.uint8)
        self._fills: Float32 = np.zeros(0, dtype=np.float32)

    def admit(self) -> int:
        """A new tracker; its number, which may be that of one dismissed."""
        if not self._free:
            before = len(self._starts)
            more = max(4, before)
            for name in ("_starts", "_room", "_counts", "_lasts", "_next_ids"):
                column = getattr(self, name)
                setattr(self, name, np.concatenate([column, np.zeros(more, column.dtype)]))
            self._free = list(range(before + more - 1, before - 1, -1))
        number = self._free.pop()
        self.reset(number)
        return number

    def dismiss(self, number: int) -> None:
        """Forget a tracker."""
        self._counts[number] = self._room[number] = 0
        self._free.append(number)

    def reset(self, number: int) -> None:
        """Forget its tracks; ids start at 1 again."""
        self._counts[number], self._lasts[number], self._next_ids[number] = 0, np.nan, 1

    def last_seconds(self, number: int) -> float | None:
        """The time of its last frame; None before the first."""
        last = float(self._lasts[number])
        return None if np.isnan(last) else last

    def step(
        self,
        numbers: Sequence[int],
        times: Sequence[float],
        found: BatchDetections,
        analysed: Sequence[bool],
        *,
        masks: Masks | None = None,
        motions: Sequence[Float64 | None] | None = None,
        sizes: Sequence[tuple[int, int]] | None = None,
    ) -> BatchTracks:
        """The tracks after each frame, by rising id: confirmed ones, lost ones where predicted, ended ones once.

        Args:
            numbers: the tracker of each frame, -1 for none; frames of one tracker in order.
            times: seconds of each frame, later than the last of its tracker.
            analysed: false where a frame has no detections because none were looked for; nothing changes by it.
            masks: of all detections, to follow by; without them boxes count alone.
            motions: of each frame's camera since its tracker's last analysed frame, [2, 3] from pixels there to pixels
                here; None for none.
            sizes: width and height of each picture, to tell which tracks have left it; without them none has.
        """
        slots = np.array(numbers, dtype=np.int64)
        followed = slots >= 0
        most = self._make_room(slots[followed], np.diff(found.bounds)[followed])
        masks = self._masks_to_follow(masks, len(found.scores))
        ids, boxes = np.empty(most, dtype=np.int64), np.empty((most, 4), dtype=np.float32)
        labels, scores = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.float32)
        states, index = np.empty(most, dtype=np.uint8), np.empty(most, dtype=np.int32)
        out_bounds = np.empty(len(slots) + 1, dtype=np.int64)
        count = step(
            slots,
            np.array(analysed, dtype=np.bool_),
            np.array(times, dtype=np.float64),
            found.bounds,
            found.boxes,
            found.scores,
            found.labels,
            masks.patches,
            masks.fills,
            masks.shown,
            _NO_MOTIONS if motions is None else _rows_of(motions),
            _NO_SIZES if sizes is None else np.array(sizes, dtype=np.int64),
            self._starts,
            self._counts,
            self._lasts,
            self._next_ids,
            self._states,
            self._labels,
            self._scores,
            self._ids,
            self._phase,
            self._sightings,
            self._seen_seconds,
            self._seen_states,
            self._seen_boxes,
            self._courses,
            self._masks,
            self._fills,
            *self._settings,
            self._by_masks,
            self.config.mask_weight if self._by_masks else 0.0,
            ids,
            boxes,
            labels,
            scores,
            states,
            index,
            out_bounds,
        )
        rows = slice(0, count)
        return BatchTracks(ids[rows], boxes[rows], labels[rows], scores[rows], states[rows], index[rows], out_bounds)

    def _masks_to_follow(self, masks: Masks | None, count: int) -> Masks:
        """Those given, for so many detections; none, without a cost, as long as there never were any."""
        if masks is not None and self.config.follow == "masks" and not self._by_masks:
            self._by_masks = True
            self._masks = np.zeros((len(self._labels), PATCH * PATCH), dtype=np.uint8)
            self._fills = np.zeros(len(self._labels), dtype=np.float32)
        if not self._by_masks:
            return NO_MASKS
        return Masks.none(count) if masks is None else masks

    def _make_room(self, slots: Int64, widths: Int64) -> int:
        """Let every tracker of a batch have room for a track a detection; rows that may be published at most."""
        coming = np.bincount(slots, weights=widths, minlength=len(self._starts)).astype(np.int64)
        needed = self._counts + coming
        for number in np.flatnonzero(needed > self._room).tolist():
            self._move(number, max(FIRST_ROWS, 2 * int(needed[number])))
        return int(needed[slots].sum())

    def _move(self, number: int, rows: int) -> None:
        """Give a tracker so many rows at the end of the table."""
        if self._used + rows > len(self._labels):
            self._compact(rows)
        count, start, to = int(self._counts[number]), int(self._starts[number]), self._used
        for column in self._columns().values():
            column[to : to + count] = column[start : start + count]
        self._starts[number], self._room[number] = to, rows
        self._used += rows

    def _compact(self, more: int) -> None:
        """A table without the rows that nobody has, twice as large as what is needed."""
        room = int(self._room.sum())
        columns = self._columns()
        fresh = {name: np.zeros((2 * (room + more), *one.shape[1:]), one.dtype) for name, one in columns.items()}
        self._used = 0
        for number in np.flatnonzero(self._room).tolist():
            count, start, to = int(self._counts[number]), int(self._starts[number]), self._used
            for name, column in columns.items():
                fresh[name][to : to + count] = column[start : start + count]
            self._starts[number] = to
            self._used += int(self._room[number])
        for name, column in fresh.items():
            setattr(self, name, column)

    def _columns(self) -> dict[str, npt.NDArray[np.generic]]:
        names = ["_states", "_labels", "_scores", "_ids", "_phase", "_sightings", "_seen_seconds"]
        if self.config.recipe == "oc-sort":
            names += ["_seen_states", "_seen_boxes", "_courses"]
        if self._by_masks:
            names += ["_masks", "_fills"]
        return {name: getattr(self, name) for name in names}


def _rows_of(motions: Sequence[Float64 | None]) -> Float64:
    """Motions as a table [B, 6]; a row of nan for none."""
    rows = np.full((len(motions), 6), np.nan)
    for row, motion in zip(rows, motions, strict=True):
        if motion is not None:
            row[:4], row[4:] = motion[:, :2].ravel(), motion[:, 2]
    return rows


def _settings_of(config: TrackerConfig) -> _Settings:
    """As `step` takes them."""
    observes = config.recipe == "oc-sort"
    return (
        config.high_score,
        config.low_score,
        config.new_track_score,
        config.match_iou,
        config.second_match_iou,
        config.confirm_frames,
        config.lost_seconds,
        observes,
        config.direction_weight if observes else 0.0,
        DIRECTION_SECONDS,
        config.buffer,
        config.wide_buffer,
    )
