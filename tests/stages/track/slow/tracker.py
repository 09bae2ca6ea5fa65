"""Identities of one source's boxes over time.

ByteTrack (Zhang et al., 2022): confident boxes are matched first, to all tracks; what is left of the tracks seen last
time may be continued by a doubtful box; doubtful boxes never start a track. What else there is, see `observed`.
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt

from pipeline.config import TrackerConfig
from pipeline.messages import Detections, Float32, Int32, Int64, Tracks, TrackState
from stages.track.masks import Masks
from tests.stages.track.slow import lifecycle, motion, observed
from tests.stages.track.slow.association import assign, gated_iou
from tests.stages.track.slow.table import Table, born

Float64 = npt.NDArray[np.float64]


class Tracker:
    """Gives the boxes of one source's consecutive frames identities.

    Ids count from 1 and are given when a track is confirmed, so that false alarms use none up; they belong to this
    object. Only boxes of one label continue a track. Times are seconds on any clock that moves forward, evenly or not.
    """

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self.config = config or TrackerConfig()
        self.oc_sort = self.config.recipe == "oc-sort"
        self.reset()

    def reset(self) -> None:
        """Forgets all tracks; ids start at 1 again."""
        self._table = Table.empty()
        self._time_seconds: float | None = None
        self._next_id = 1

    def update(
        self,
        detections: Detections,
        time_seconds: float,
        *,
        masks: Masks | None = None,
        camera: Float64 | None = None,
        size: tuple[int, int] | None = None,
    ) -> Tracks:
        """The tracks after seeing one frame's detections, by rising id: confirmed ones, and lost ones where predicted.

        Raises `ValueError` if time does not move forward.
        """
        first = self._time_seconds is None
        table, elapsed = _seen_by_moved(self._table, camera), self._elapsed(time_seconds)
        motion.predict(table.states, elapsed)
        overdue = (table.phase == lifecycle.LOST) & (time_seconds - table.seen_seconds > self.config.lost_seconds)
        over = _ended(table[overdue], size)
        if overdue.any():
            table = table[~overdue]
        masks = masks if masks is not None and self.config.follow == "masks" else Masks.none(len(detections))
        boxes = np.ascontiguousarray(detections.boxes, dtype=np.float32)  # [N, 4]
        scores = np.ascontiguousarray(detections.scores, dtype=np.float32)
        matched, unclaimed = self._match(table, boxes, np.ascontiguousarray(detections.labels, np.int32), scores, masks)
        table, matched = self._continue(table, matched, boxes, scores, time_seconds, elapsed, masks)
        starting = unclaimed[(scores[unclaimed] >= self.config.new_track_score) | masks.shown[unclaimed]]
        if len(starting):
            new = (boxes[starting], detections.labels[starting], scores[starting], time_seconds)
            table = table.joined(born(*new, masks.patches[starting], masks.fills[starting]))
            matched = np.concatenate([matched, starting])
            if first or self.config.confirm_frames == 1:
                table.phase[-len(starting) :] = lifecycle.CONFIRMED
        self._next_id = lifecycle.name(table.phase, table.ids, self._next_id)
        self._table, self._time_seconds = table, time_seconds
        return _in_order(_published(table, matched, boxes), over)

    def predict(self, time_seconds: float, *, camera: Float64 | None = None) -> Tracks:
        """The tracks where they are expected at a time without detections; nothing changes by asking.

        Raises `ValueError` if the time is not after the last update.
        """
        states = _seen_by_moved(self._table, camera).states.copy()
        motion.predict(states, self._elapsed(time_seconds))
        table = replace(self._table, states=states)
        return _published(table, np.full(len(table), -1, dtype=np.int64), np.zeros((0, 4), dtype=np.float32))

    def _elapsed(self, time_seconds: float) -> float:
        if self._time_seconds is None:
            return 0.0
        elapsed = time_seconds - self._time_seconds
        if not elapsed > 0:
            raise ValueError(
                f"time_seconds is {time_seconds}; more than the last frame's {self._time_seconds} is needed"
            )
        return elapsed

    def _match(self, table: Table, boxes: Float32, labels: Int32, scores: Float32, masks: Masks) -> tuple[Int64, Int64]:
        """The detection of each track [M], -1 for none, and the confident detections that belong to none."""
        config = self.config
        matched = np.full(len(table), -1, dtype=np.int64)
        confident, doubtful = lifecycle.by_score(boxes, scores, masks.shown, config.high_score, config.low_score)
        if len(table) == 0:
            return matched, confident
        expected = motion.boxes_of(table.states)

        def pair(
            rows: Int64,
            columns: Int64,
            smallest_iou: float,
            *,
            where: Float32 = expected,
            buffer: float = 0.0,
            direction_weight: float = 0.0,
        ) -> Int64:
            if len(rows) == 0 or len(columns) == 0:
                return columns
            near, near_boxes = where, boxes
            if buffer:
                near, near_boxes = observed.widened(where, buffer), observed.widened(boxes, buffer)
            ious = gated_iou(near, table.labels, rows, near_boxes, labels, columns, smallest_iou)
            for row, column in np.argwhere(ious > 0).tolist():
                t, j, weight = rows[row], columns[column], config.mask_weight
                if weight and table.fills[t] > 0 and masks.fills[j] > 0:
                    mine, other = (table.patches[t], float(table.fills[t])), (masks.patches[j], float(masks.fills[j]))
                    alike = observed.mask_overlap(*mine, where[t], *other, boxes[j])
                    ious[row, column] = (1.0 - weight) * ious[row, column] + weight * alike
                if direction_weight:
                    turn = observed.agreement(table.courses[t], boxes[j])
                    ious[row, column] += direction_weight * float(scores[j]) * turn
                ious[row, column] = max(ious[row, column], 1e-6)
            r, c = assign(ious)
            matched[rows[r]] = columns[c]
            free = np.ones(len(columns), dtype=np.bool_)
            free[c] = False
            return columns[free]

        known, tentative = lifecycle.by_phase(table.phase)
        turning = config.direction_weight if self.oc_sort else 0.0
        unclaimed = pair(known, confident, config.match_iou, buffer=config.buffer, direction_weight=turning)
        pair(lifecycle.just_missed(table.phase, matched), doubtful, config.second_match_iou)
        if self.oc_sort or config.wide_buffer:
            missed = np.flatnonzero((table.phase != lifecycle.TENTATIVE) & (matched < 0))
            last = table.seen_boxes if self.oc_sort else expected
            unclaimed = pair(missed, unclaimed, config.match_iou, where=last, buffer=config.wide_buffer)
        unclaimed = pair(tentative, unclaimed, config.match_iou)
        return matched, unclaimed

    def _continue(
        self,
        table: Table,
        matched: Int64,
        boxes: Float32,
        scores: Float32,
        time_seconds: float,
        elapsed: float,
        masks: Masks,
    ) -> tuple[Table, Int64]:
        """The tracks that live on and their detections: the seen ones corrected, the missed ones lost."""
        found_again = np.flatnonzero((matched >= 0) & (table.phase == lifecycle.LOST) & self.oc_sort)
        ahead = table.states.copy()
        motion.correct(table.states, boxes, matched)
        for t in found_again:
            unseen = float(time_seconds - table.seen_seconds[t])
            ahead[t] = observed.led(table.seen_states[t], table.seen_boxes[t], boxes[matched[t]], unseen, elapsed)
            table.states[t] = ahead[t]
        for t in np.flatnonzero(matched >= 0):
            j = matched[t]
            table.seen_states[t], table.seen_boxes[t] = table.states[t], boxes[j]
            table.courses[t] = observed.gone_on(table.courses[t], boxes[j], time_seconds)
            if masks.fills[j] > 0:
                table.patches[t], table.fills[t] = masks.patches[j], masks.fills[j]
        keep = lifecycle.settle(
            table.states,
            table.phase,
            table.scores,
            table.sightings,
            table.seen_seconds,
            matched,
            scores,
            time_seconds,
            self.config.confirm_frames,
        )
        return (table, matched) if keep.all() else (table[keep], matched[keep])


def _seen_by_moved(table: Table, camera: Float64 | None) -> Table:
    if camera is None:
        return table
    return replace(
        table,
        states=observed.shifted(table.states, camera),
        seen_states=observed.shifted(table.seen_states, camera),
        seen_boxes=observed.shifted_boxes(table.seen_boxes, camera),
        courses=observed.shifted_courses(table.courses, camera),
    )


def _ended(table: Table, size: tuple[int, int] | None) -> Tracks:
    """What is told of tracks that are over."""
    over = _published(table, np.full(len(table), -1, dtype=np.int64), np.zeros((0, 4), dtype=np.float32))
    if size is None:
        return replace(over, states=np.full(len(over), TrackState.ENDED, dtype=np.uint8))
    width, height = size
    left, top, right, bottom = over.boxes.T
    inside = (left < width) & (top < height) & (right > 0) & (bottom > 0)
    return replace(over, states=np.where(inside, TrackState.ENDED, TrackState.LEFT).astype(np.uint8))


def _in_order(tracks: Tracks, over: Tracks) -> Tracks:
    columns = {f.name: np.concatenate([getattr(tracks, f.name), getattr(over, f.name)]) for f in fields(tracks)}
    both = Tracks(**columns)
    return both[np.argsort(both.ids)]


def _published(table: Table, matched: Int64, boxes: Float32) -> Tracks:
    """The tracks that have an id: where they were seen, else where they are expected."""
    rows = np.flatnonzero(table.ids)
    where = motion.boxes_of(table.states)
    seen = np.flatnonzero(matched >= 0)
    where[seen] = boxes[matched[seen]]
    return Tracks(
        ids=table.ids[rows],
        boxes=where[rows],
        labels=table.labels[rows],
        scores=table.scores[rows],
        states=table.phase[rows],
        detection_index=matched[rows].astype(np.int32),
    )
