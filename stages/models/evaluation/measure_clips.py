"""Measure models on clips: the tracker behind the other stages, as in a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.messages import NO_TRACK, Batch, Detections, Tracks, TrackState
from stages.models.evaluation.clips import Clip, ClipFrame
from stages.models.evaluation.figures import Figures, Row
from stages.models.evaluation.panoptic_quality import VOID
from stages.models.evaluation.step_quality import StepQuality
from stages.models.evaluation.subject import Subject, frame_of, relabelling, run_stages
from stages.models.evaluation.track_quality import Followed, TrackQuality
from stages.models.evaluation.truth import IGNORED, Truth, truth_of
from stages.models.evaluation.video_quality import VideoFigures, VideoQuality
from stages.models.labelled.parts import Progress
from stages.models.labelled.taxonomy import Taxonomy
from stages.track import Track


class ClipTally:
    """One model's sums over clips.

    Args:
        subject: at a run's own thresholds.
        taxonomy: the truth's classes.
    """

    def __init__(self, subject: Subject, taxonomy: Taxonomy) -> None:
        self._subject, self._taxonomy = subject, taxonomy
        self._table = relabelling(subject.classes, taxonomy)
        self.tracks = TrackQuality(taxonomy.things)
        self.step = StepQuality(taxonomy.classes.names)
        self.video = VideoQuality(taxonomy.classes.names, things=len(taxonomy.things))

    def add(self, clip: str, tracker: Track, frame: ClipFrame, truth: Truth, *, index: int, time_ns: int) -> None:
        """The next frame of a clip, whose tracker is its own."""
        given = frame_of(frame.sample.image, seq=index, source_id="clip", time_ns=time_ns)
        batch = run_stages([*self._subject.stages, tracker], given)
        own = Followed(truth.boxes, truth.labels, frame.ids)
        self.tracks.add(clip, self._followed(batch), own, ignored=truth.ignored, open_labels=truth.open_labels)
        if batch.panoptic and batch.panoptic[0] is not None:
            found = self._subject.found_in(batch, self._taxonomy).panoptic
            assert found is not None
            both = with_tracks(found, batch), with_identities(truth, frame.ids)
            self.step.add(clip, *both)
            self.video.add(clip, *both, open_labels=truth.open_labels)

    def _followed(self, batch: Batch) -> Followed:
        """Confirmed tracks with a box of this frame, as every file of tracks has them."""
        assert batch.tracks is not None
        tracks = batch.tracks[0]
        labels = self._table[tracks.labels]
        kept = _shown(tracks) & (labels >= 0) & (labels < len(self._taxonomy.things))
        return Followed(tracks.boxes[kept], labels[kept], tracks.ids[kept])


def with_tracks(found: NDArray[np.int64], batch: Batch) -> NDArray[np.int64]:
    """Each pixel's confirmed track in place of its segment [H, W, 2]; 0 for stuff.

    A thing that nothing follows has its segment's number, made negative.
    """
    assert batch.tracks is not None
    assert batch.panoptic is not None
    panoptic = batch.panoptic[0]
    assert panoptic is not None
    detections = (batch.detections or (Detections.empty(),))[0]
    tracks = batch.tracks[0]
    of_detection = np.append(tracks[_shown(tracks)].of_detections(len(detections)), NO_TRACK)
    segments = panoptic.segments
    table = np.zeros(int(segments.ids.max(initial=0)) + 1, np.int64)
    track_ids = of_detection[segments.detection_index]  # row -1, without a detection, finds NO_TRACK
    table[segments.ids] = np.where(segments.is_thing, np.where(track_ids == NO_TRACK, -segments.ids, track_ids), 0)
    return np.stack([found[..., 0], np.where(found[..., 0] == VOID, 0, table[found[..., 1]])], -1)


def _shown(tracks: Tracks) -> NDArray[np.bool_]:
    return np.asarray((tracks.states == TrackState.CONFIRMED) & (tracks.detection_index >= 0), np.bool_)


def with_identities(truth: Truth, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each pixel's identity in place of its object's number; 0 for stuff."""
    table = np.concatenate([np.zeros(1, np.int64), ids])
    return np.stack([truth.pixels[..., 0], table[truth.pixels[..., 1]]], -1)


def measure_clips(
    subjects: Sequence[Subject],
    clips: Sequence[Clip],
    taxonomy: Taxonomy,
    figures: Figures,
    *,
    judged: frozenset[int],
    progress: Progress,
) -> None:
    """Add figures of clips to those of pictures.

    Args:
        subjects: the models of `figures`, in its order, at a run's own thresholds.
        clips: what to follow objects in.
        taxonomy: the truth's classes.
        figures: what is added to.
        judged: labels whose pixels are told apart.
        progress: told after every frame.

    Raises:
        DataError: when a frame cannot be read.
        ModelError: when a model fails on a frame.
    """
    tallies = [ClipTally(subject, taxonomy) for subject in subjects]
    total, done = sum(len(clip) for clip in clips), 0
    shown: set[int] = set()
    for clip in clips:
        trackers = [Track() for _ in subjects]
        for index, frame in enumerate(clip):
            truth = truth_of(frame.sample, ignoring=clip.ignoring, things=len(taxonomy.things), judged=judged)
            shown |= set(truth.labels[~truth.ignored].tolist())
            time_ns = round(index * clip.seconds_between * 1e9)
            for tally, tracker in zip(tallies, trackers, strict=True):
                tally.add(clip.name, tracker, frame, truth, index=index, time_ns=time_ns)
            done += 1
            progress("frames of clips", done, total)
    figures.clips = [clip.name for clip in clips]
    figures.ignored = sorted({*figures.ignored, *(IGNORED[clip.ignoring] for clip in clips)})
    names = taxonomy.classes.names
    known = frozenset.intersection(*(subject.labels(taxonomy) for subject in subjects))
    things = [names[label] for label in sorted(shown & known) if label < len(taxonomy.things)]
    figures.compared_things = figures.compared_things or tuple(things)
    for model, tally in zip(figures.models, tallies, strict=True):
        model.clips = tally.tracks.together(things)
        of_class = tally.tracks.by_class()
        of_tubes = tally.video.by_class()
        model.clips_by_class = {name: of_class.get(name, {}) | {"vpq": of_tubes[name]} for name in model.classes}
        compared = [names[label] for label in sorted(judged)]
        step = tally.step.figures(compared)
        model.clips |= {"stq": step.stq, "aq": step.aq, "sq_clips": step.sq} | _row(tally.video.figures(compared))


def _row(video: VideoFigures) -> Row:
    windows = {f"vpq{k}": quality for k, quality in video.by_window.items()}
    return {"vpq": video.vpq, "vpq_things": video.things, "vpq_stuff": video.stuff} | windows
