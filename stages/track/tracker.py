"""Identities of one source's boxes over time.

ByteTrack (Zhang et al., 2022): confident boxes are matched first, to all tracks; what is left of the tracks seen last
time may be continued by a doubtful box; doubtful boxes never start a track.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pipeline.config import TrackerConfig
from pipeline.messages import Detections, Float32, Int32, Int64, Tracks, TrackState
from stages.track import motion
from stages.track.association import assign, gated_iou
from stages.track.table import Table, born

Bools = npt.NDArray[np.bool_]


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
        overdue = (table.phase == TrackState.LOST) & (time_seconds - table.seen_seconds > self.config.lost_seconds)
        if overdue.any():
            table = table[~overdue]
        boxes = np.array(detections.boxes, dtype=np.float32, order="C")  # [N, 4] a copy: the loops want it writable
        labels = np.array(detections.labels, dtype=np.int32)
        usable = np.isfinite(boxes).all(axis=1)
        matched, unclaimed = self._match(table, boxes, labels, np.where(usable, detections.scores, -1.0))
        table, matched = self._continue(table, matched, detections, boxes, time_seconds)
        starting = unclaimed[detections.scores[unclaimed] >= self.config.new_track_score]
        confirmed = first or self.config.confirm_frames == 1
        if len(starting):
            table = table.joined(born(boxes[starting], labels[starting], detections.scores[starting], time_seconds))
            matched = np.concatenate([matched, starting])
            if confirmed:
                table.phase[-len(starting) :] = TrackState.CONFIRMED
        self._name(table)
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
        confident = np.flatnonzero(scores >= config.high_score)
        doubtful = np.flatnonzero((scores >= config.low_score) & (scores < config.high_score))
        expected = motion.boxes_of(table.states)

        def pair(rows: Int64, columns: Int64, smallest_iou: float) -> Int64:
            if len(rows) == 0 or len(columns) == 0:
                return columns
            ious = gated_iou(expected, table.labels, rows, boxes, labels, columns, smallest_iou)
            r, c = assign(ious)
            matched[rows[r]] = columns[c]
            return np.delete(columns, c)

        known = table.phase != TrackState.TENTATIVE
        unclaimed = pair(np.flatnonzero(known), confident, config.match_iou)
        followed = (table.phase == TrackState.CONFIRMED) & (matched < 0)
        pair(np.flatnonzero(followed), doubtful, config.second_match_iou)
        unclaimed = pair(np.flatnonzero(~known), unclaimed, config.match_iou)
        return matched, unclaimed

    def _continue(
        self, table: Table, matched: Int64, detections: Detections, boxes: Float32, time_seconds: float
    ) -> tuple[Table, Int64]:
        """The tracks that live on and their detections: the seen ones corrected, the missed ones lost."""
        seen = matched >= 0
        rows, columns = np.flatnonzero(seen), matched[seen]
        motion.correct(table.states, rows, boxes, columns)
        motion.hold_size(table.states, ~seen)
        table.scores[rows] = detections.scores[columns]
        table.seen_seconds[rows] = time_seconds
        table.sightings[rows] += 1
        tentative = table.phase == TrackState.TENTATIVE
        ready = seen & (~tentative | (table.sightings >= self.config.confirm_frames))
        table.phase[ready] = TrackState.CONFIRMED
        table.phase[~seen] = TrackState.LOST
        keep = seen | ~tentative
        return (table, matched) if keep.all() else (table[keep], matched[keep])

    def _name(self, table: Table) -> None:
        """Ids for the newly confirmed, in order of birth."""
        nameless = np.flatnonzero((table.phase == TrackState.CONFIRMED) & (table.ids == 0))
        table.ids[nameless] = np.arange(self._next_id, self._next_id + len(nameless))
        self._next_id += len(nameless)


def _published(table: Table, matched: Int64, boxes: Float32) -> Tracks:
    """The tracks that have an id: where they were seen, else where they are expected."""
    shown = table.ids > 0
    where = motion.boxes_of(table.states)
    seen = matched >= 0
    where[seen] = boxes[matched[seen]]
    return Tracks(
        ids=table.ids[shown],
        boxes=where[shown],
        labels=table.labels[shown],
        scores=table.scores[shown],
        states=table.phase[shown],
        detection_index=matched[shown].astype(np.int32),
    )
