"""The tracking stage: a tracker for each source."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.config import TrackerConfig
from pipeline.messages import Batch, BatchDetections, Detections, Frame, Tracks, TrackState
from pipeline.stage import Field
from stages.track.camera import CameraMotion
from stages.track.herd import Float64, Herd
from stages.track.masks import masks_of
from stages.track.timeline import Timeline


@dataclass(slots=True)
class _Followed:
    """One source's epoch, and its tracker's number."""

    epoch: int
    number: int
    timeline: Timeline = field(default_factory=Timeline)
    camera: CameraMotion = field(default_factory=CameraMotion)


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
        self._herd = Herd(self.config)
        self._ending: list[int] = []  # trackers of epochs that were over when this batch began, or end within it

    def __call__(self, batch: Batch) -> Batch:
        """The batch with tracks."""
        found = BatchDetections.of(batch.detections or (Detections.empty(),) * len(batch))
        analysed = batch.analysed or (True,) * len(batch)
        numbers, times = [], []
        motions: list[Float64 | None] | None = None if self.config.camera_motion == "none" else []
        for row, frame in enumerate(batch.frames):
            followed = self._followed(frame)
            # A straggler of an epoch that is over must not restart the ids of this one.
            numbers.append(-1 if followed is None else followed.number)
            times.append(0.0 if followed is None else _advance(followed, frame))
            if motions is not None:
                boxes = found.boxes[found.bounds[row] : found.bounds[row + 1]]
                kept = boxes if analysed[row] else None
                motions.append(None if followed is None else followed.camera.moved(frame.surface, kept))
        masks = None
        if self.config.follow == "masks" and batch.panoptic is not None:
            masks = masks_of(found, batch.panoptic)
        sizes = [(frame.width, frame.height) for frame in batch.frames]
        tracks = self._herd.step(numbers, times, found, analysed, masks=masks, motions=motions, sizes=sizes)
        for number in self._ending:
            self._herd.dismiss(number)
        self._ending.clear()
        if all(analysed):
            return batch.with_(detections=found, tracks=tracks)
        pairs = [
            (d, t) if seen or number < 0 else as_detected(t)
            for d, t, seen, number in zip(found, tracks, analysed, numbers, strict=True)
        ]
        return batch.with_(detections=tuple(d for d, _ in pairs), tracks=tuple(t for _, t in pairs))

    def forget(self, source_id: str) -> None:
        """Drops what is known of a source that is gone."""
        followed = self._sources.pop(source_id, None)
        if followed is not None:
            self._herd.dismiss(followed.number)

    def _followed(self, frame: Frame) -> _Followed | None:
        """What is known of the frame's epoch, a new one begun; None for an epoch that is over."""
        followed = self._sources.get(frame.source_id)
        if followed is None:
            followed = self._sources[frame.source_id] = _Followed(frame.epoch, self._herd.admit())
        elif followed.epoch < frame.epoch:
            # Frames of the epoch before may stand in front of this one in the same batch: another tracker.
            self._ending.append(followed.number)
            followed = self._sources[frame.source_id] = _Followed(frame.epoch, self._herd.admit())
        return followed if followed.epoch == frame.epoch else None


def _advance(followed: _Followed, frame: Frame) -> float:
    return followed.timeline.advance(frame.capture_time_ns, discontinuity=frame.discontinuity)


def as_detected(tracks: Tracks) -> tuple[Detections, Tracks]:
    """Predicted tracks with the confirmed ones' boxes as detections."""
    confirmed = tracks.states == TrackState.CONFIRMED
    index = np.where(confirmed, np.cumsum(confirmed) - 1, -1).astype(np.int32)
    shown = tracks[confirmed]
    return Detections.of(shown.boxes, shown.scores, shown.labels), replace(tracks, detection_index=index)
