"""Identities of one source's boxes over time.

ByteTrack (Zhang et al., 2022): confident boxes are matched first, to all tracks; what is left of the tracks seen last
time may be continued by a doubtful box; doubtful boxes never start a track.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.config import TrackerConfig
from pipeline.messages import Detections, Float32, Int32, Int64, Tracks
from tests.stages.track.slow import lifecycle, motion
from tests.stages.track.slow.association import assign, gated_iou
from tests.stages.track.slow.table import Table, born


class Tracker:
    """Gives the boxes of one source's consecutive frames identities.

    Ids count from 1 and are given when a track is confirmed, so that false alarms use none up; they belong to this
    object. Only boxes of one label continue a track. Times are seconds on any clock that moves forward, evenly or not.
    """

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self.config = config or TrackerConfig()
        self.reset()

    def reset(self) -> None:
        """Forgets all tracks; ids start at 1 again."""
        self._table = Table.empty()
        self._time_seconds: float | None = None
        self._next_id = 1

    def update(self, detections: Detections, time_seconds: float) -> Tracks:
        """The tracks after seeing one frame's detections, by rising id: confirmed ones, and lost ones where predicted.

        Raises `ValueError` if time does not move forward.
        """
        first = self._time_seconds is None
        table = self._table
        motion.predict(table.states, self._elapsed(time_seconds))
        overdue = (table.phase == lifecycle.LOST) & (time_seconds - table.seen_seconds > self.config.lost_seconds)
        if overdue.any():
            table = table[~overdue]
        boxes = np.ascontiguousarray(detections.boxes, dtype=np.float32)  # [N, 4]
        scores = np.ascontiguousarray(detections.scores, dtype=np.float32)
        matched, unclaimed = self._match(table, boxes, np.ascontiguousarray(detections.labels, np.int32), scores)
        table, matched = self._continue(table, matched, boxes, scores, time_seconds)
        starting = unclaimed[scores[unclaimed] >= self.config.new_track_score]
        if len(starting):
            table = table.joined(born(boxes[starting], detections.labels[starting], scores[starting], time_seconds))
            matched = np.concatenate([matched, starting])
            if first or self.config.confirm_frames == 1:
                table.phase[-len(starting) :] = lifecycle.CONFIRMED
        self._next_id = lifecycle.name(table.phase, table.ids, self._next_id)
        self._table, self._time_seconds = table, time_seconds
        return _published(table, matched, boxes)

    def predict(self, time_seconds: float) -> Tracks:
        """The tracks where they are expected at a time without detections; nothing changes by asking.

        Raises `ValueError` if the time is not after the last update.
        """
        states = self._table.states.copy()
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

    def _match(self, table: Table, boxes: Float32, labels: Int32, scores: Float32) -> tuple[Int64, Int64]:
        """The detection of each track [M], -1 for none, and the confident detections that belong to none."""
        config = self.config
        matched = np.full(len(table), -1, dtype=np.int64)
        confident, doubtful = lifecycle.by_score(boxes, scores, config.high_score, config.low_score)
        if len(table) == 0:
            return matched, confident
        expected = motion.boxes_of(table.states)

        def pair(rows: Int64, columns: Int64, smallest_iou: float) -> Int64:
            if len(rows) == 0 or len(columns) == 0:
                return columns
            ious = gated_iou(expected, table.labels, rows, boxes, labels, columns, smallest_iou)
            r, c = assign(ious)
            matched[rows[r]] = columns[c]
            free = np.ones(len(columns), dtype=np.bool_)
            free[c] = False
            return columns[free]

        known, tentative = lifecycle.by_phase(table.phase)
        unclaimed = pair(known, confident, config.match_iou)
        pair(lifecycle.just_missed(table.phase, matched), doubtful, config.second_match_iou)
        unclaimed = pair(tentative, unclaimed, config.match_iou)
        return matched, unclaimed

    def _continue(
        self, table: Table, matched: Int64, boxes: Float32, scores: Float32, time_seconds: float
    ) -> tuple[Table, Int64]:
        """The tracks that live on and their detections: the seen ones corrected, the missed ones lost."""
        motion.correct(table.states, boxes, matched)
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
