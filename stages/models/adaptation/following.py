"""Boxes over time: one that no track bears out is doubtful, and a sure track fills a hole of a frame or two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.config import TrackerConfig
from pipeline.messages import BatchDetections, Detections
from stages.models.adaptation.found import Found
from stages.models.overlap import overlaps

DOUBT = 0.5  # boxes below this share of their class's threshold are nothing, those between are doubtful
STILL = 0.5  # IoU of the boxes around a hole from which what is put between them is a label
SAME_PLACE = 0.5  # IoU from which a doubtful box is the one that a hole lacks


@dataclass(frozen=True, slots=True, eq=False)
class FrameLabels:
    """The labels of one frame. N objects.

    Attributes:
        boxes: [N, 4] float32 xyxy, pixels of the frame.
        labels: [N] int64.
        scores: [N] float32, of the teachers; of a filled hole the lower one beside it.
        certain: [N] bool; where false it is neither right nor wrong to find something there.
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    certain: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(slots=True)
class _Sighting:
    """A box in a frame's list, and whether it is a label."""

    frame: int
    row: int
    certain: bool


def followed(
    found: Sequence[Found],
    seconds: NDArray[np.float64],
    thresholds: NDArray[np.float32],
    *,
    support: int = 3,
    longest_hole: int = 2,
) -> list[FrameLabels]:
    """The labels of consecutive frames of one file.

    Certain is a box that both looks agree on, that reaches its class's threshold, and whose track was seen in at least
    `support` frames. In a hole of up to `longest_hole` frames between certain boxes of a track, a doubtful box that
    stands where the missing one must be becomes certain; where there is none, one is put between them, certain where
    the object hardly moved meanwhile. All else above `DOUBT` of the threshold is doubtful.

    Args:
        found: of each frame, from `merged`.
        seconds: [F] rising.
        thresholds: [things].
        support: frames.
        longest_hole: frames.
    """
    kept = [one[one.scores >= DOUBT * thresholds[one.labels]] for one in found]
    ids = track_ids(kept, seconds, thresholds)
    sightings: dict[int, list[_Sighting]] = {}
    for frame, of_frame in enumerate(ids):
        for row in np.flatnonzero(of_frame > 0).tolist():
            sightings.setdefault(int(of_frame[row]), []).append(_Sighting(frame, row, certain=False))
    certain = [np.zeros(len(one), np.bool_) for one in kept]
    added: list[list[tuple[NDArray[np.float32], int, float, bool]]] = [[] for _ in kept]
    for track in sightings.values():
        if len(track) < support:
            continue
        for one in track:
            of = kept[one.frame]
            one.certain = bool(of.agreed[one.row] and of.scores[one.row] >= thresholds[of.labels[one.row]])
            certain[one.frame][one.row] = one.certain
        _fill(track, kept, certain, added, seconds, longest_hole=longest_hole)
    return [_labels(*parts) for parts in zip(kept, certain, added, strict=True)]


def track_ids(
    found: Sequence[Found], seconds: NDArray[np.float64], thresholds: NDArray[np.float32]
) -> list[NDArray[np.int64]]:
    """Of each frame the track of each box, from 1; 0 where it has none.

    A track begins with a box that reaches its class's threshold, and is continued by weaker ones.
    """
    from stages.track.herd import Herd

    herd = Herd(TrackerConfig(confirm_frames=1, low_score=0.5 * DOUBT))
    number = herd.admit()
    detections = [Detections.of(one.boxes, _as_tracked(one, thresholds), one.labels.astype(np.int32)) for one in found]
    count = len(detections)
    tracks = herd.step([number] * count, seconds.tolist(), BatchDetections.of(detections), [True] * count)
    result = []
    for one, of_frame in zip(found, tracks, strict=True):
        ids = np.zeros(len(one), np.int64)
        seen = of_frame.detection_index >= 0
        ids[of_frame.detection_index[seen]] = of_frame.ids[seen]
        result.append(ids)
    return result


def _as_tracked(found: Found, thresholds: NDArray[np.float32]) -> NDArray[np.float32]:
    """[N] scores as the tracker takes them: a class's threshold at 0.5."""
    own = thresholds[found.labels]
    above = 0.5 + 0.5 * (found.scores - own) / np.maximum(1 - own, 1e-6)
    return np.asarray(np.where(found.scores >= own, above, 0.5 * found.scores / own), np.float32)


def _fill(
    track: list[_Sighting],
    kept: Sequence[Found],
    certain: list[NDArray[np.bool_]],
    added: list[list[tuple[NDArray[np.float32], int, float, bool]]],
    seconds: NDArray[np.float64],
    *,
    longest_hole: int,
) -> None:
    """Close the track's short holes between two certain boxes."""
    sure = [one for one in track if one.certain]
    for before, after in pairwise(sure):
        if not 1 < after.frame - before.frame <= longest_hole + 1:
            continue
        first, last = (kept[one.frame].boxes[one.row] for one in (before, after))
        still = bool(overlaps(first[None], last[None])[0, 0] >= STILL)
        label = int(kept[before.frame].labels[before.row])
        score = float(min(kept[one.frame].scores[one.row] for one in (before, after)))
        for frame in range(before.frame + 1, after.frame):
            share = (seconds[frame] - seconds[before.frame]) / (seconds[after.frame] - seconds[before.frame])
            box = (first + (last - first) * np.float32(share)).astype(np.float32)
            of = kept[frame]
            near = overlaps(box[None], of.boxes)[0] * (of.labels == label)
            if len(near) and near.max() >= SAME_PLACE:
                certain[frame][int(near.argmax())] = True
            else:
                added[frame].append((box, label, score, still))


def _labels(
    found: Found, certain: NDArray[np.bool_], added: Sequence[tuple[NDArray[np.float32], int, float, bool]]
) -> FrameLabels:
    if not added:
        return FrameLabels(found.boxes, found.labels, found.scores, certain)
    boxes, labels, scores, sure = zip(*added, strict=True)
    return FrameLabels(
        np.concatenate([found.boxes, np.stack(boxes)]),
        np.concatenate([found.labels, np.array(labels, np.int64)]),
        np.concatenate([found.scores, np.array(scores, np.float32)]),
        np.concatenate([certain, np.array(sure, np.bool_)]),
    )
