"""The tracking stage: a tracker for each source."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.config import TrackerConfig
from pipeline.messages import Batch, Detections, Frame, Tracks, TrackState
from pipeline.stage import Field
from stages.track.timeline import Timeline
from stages.track.tracker import Tracker


@dataclass(slots=True)
class _Followed:
    """One source's epoch."""

    epoch: int
    tracker: Tracker
    timeline: Timeline = field(default_factory=Timeline)


class Track:
    """Follows the detections of every source.

    A source's tracks last for one epoch: a new one starts from nothing, with ids from 1. Frames of a source must come
    in order; how they are batched changes nothing. A frame that was not analysed gets its tracks predicted, and the
    boxes of the confirmed ones as its detections.
    """

    name = "track"
    stateful = True
    needs: frozenset[Field] = frozenset({"detections"})
    adds: frozenset[Field] = frozenset({"tracks"})

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self.config = config or TrackerConfig()
        self._sources: dict[str, _Followed] = {}

    def __call__(self, batch: Batch) -> Batch:
        """The batch with tracks."""
        analysed = batch.analysed or (True,) * len(batch)
        found = batch.detections or (Detections.empty(),) * len(batch)
        pairs = [self._follow(*of_frame) for of_frame in zip(batch.frames, found, analysed, strict=True)]
        return batch.with_(detections=tuple(d for d, _ in pairs), tracks=tuple(t for _, t in pairs))

    def forget(self, source_id: str) -> None:
        """Drops what is known of a source that is gone."""
        self._sources.pop(source_id, None)

    def _follow(self, frame: Frame, detections: Detections, analysed: bool) -> tuple[Detections, Tracks]:
        followed = self._sources.get(frame.source_id)
        if followed is None or followed.epoch < frame.epoch:
            followed = _Followed(frame.epoch, Tracker(self.config))
            self._sources[frame.source_id] = followed
        elif frame.epoch < followed.epoch:
            return (
                detections,
                Tracks.empty(),
            )  # a straggler of an epoch that is over must not restart the ids of this one
        seconds = followed.timeline.advance(frame.capture_time_ns, discontinuity=frame.discontinuity)
        if analysed:
            return detections, followed.tracker.update(detections, seconds)
        return as_detected(followed.tracker.predict(seconds))


def as_detected(tracks: Tracks) -> tuple[Detections, Tracks]:
    """Predicted tracks with the confirmed ones' boxes as detections."""
    confirmed = tracks.states == TrackState.CONFIRMED
    index = np.where(confirmed, np.cumsum(confirmed) - 1, -1).astype(np.int32)
    shown = tracks[confirmed]
    return Detections.of(shown.boxes, shown.scores, shown.labels), replace(tracks, detection_index=index)
