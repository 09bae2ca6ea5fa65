"""HOTA, MOTA and IDF1 of boxes that are followed, by `trackeval`, without a file between."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from stages.models.overlap import overlaps

Float = NDArray[np.float64]
Int = NDArray[np.int64]
MATCH_IOU: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """Boxes of one frame with their identities."""

    boxes: NDArray[np.float32]  # [N, 4] xyxy
    labels: Int  # [N]
    ids: Int  # [N]

    def rows(self, kept: NDArray[Any]) -> Followed:
        """Some of them."""
        return Followed(self.boxes[kept], self.labels[kept], self.ids[kept])


@dataclass(slots=True)
class _Sequence:
    """One class of one clip: identities and overlaps, a frame each."""

    truth: list[Int] = field(default_factory=list)
    found: list[Int] = field(default_factory=list)
    similarity: list[Float] = field(default_factory=list)

    def data(self) -> dict[str, Any]:
        """As `trackeval` takes it: identities numbered from 0 without holes."""
        truth, truths = _renumbered(self.truth)
        found, founds = _renumbered(self.found)
        return {
            "num_timesteps": len(truth),
            "gt_ids": truth,
            "tracker_ids": found,
            "num_gt_ids": truths,
            "num_tracker_ids": founds,
            "num_gt_dets": sum(map(len, truth)),
            "num_tracker_dets": sum(map(len, found)),
            "similarity_scores": self.similarity,
        }


class TrackQuality:
    """Gathers frames, then gives figures of each class and of all together.

    Args:
        names: class names; a label is an index into them.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._clips: dict[str, list[_Sequence]] = {}

    def add(
        self,
        clip: str,
        found: Followed,
        truth: Followed,
        *,
        ignored: NDArray[np.bool_],  # [G]
        open_labels: Collection[int] = (),
    ) -> None:
        """The next frame of a clip.

        What overlaps an ignored object of its class more than any other counts for nothing, and so does what matches
        nothing of a class of which the truth may lack some.
        """
        sequences = self._clips.setdefault(clip, [_Sequence() for _ in self.names])
        for label, sequence in enumerate(sequences):
            mine, theirs = truth.labels == label, found.rows(found.labels == label)
            similarity = overlaps(truth.boxes[mine], theirs.boxes).astype(np.float64)
            kept = _counted(similarity, ignored[mine], is_open=label in open_labels)
            sequence.truth.append(truth.ids[mine][~ignored[mine]])
            sequence.found.append(theirs.ids[kept])
            sequence.similarity.append(similarity[~ignored[mine]][:, kept])

    def by_class(self) -> dict[str, dict[str, float | None]]:
        """hota, deta, assa, mota, idf1, idsw of each class; None for one that the truth never shows."""
        figures: dict[str, dict[str, float | None]] = {}
        for label, name in enumerate(self.names):
            shown = any(len(ids) for sequences in self._clips.values() for ids in sequences[label].truth)
            figures[name] = self.together([name]) if shown else dict.fromkeys(_KEYS)
        return figures

    def together(self, names: Sequence[str]) -> dict[str, float | None]:
        """The same over all boxes of these classes; an identity is right only within its class."""
        labels = [self.names.index(name) for name in names]
        if not labels or not self._clips:
            return dict.fromkeys(_KEYS)
        of_metric = []
        for metric in _metrics():
            of_class = {}
            for label in labels:
                each = {clip: metric.eval_sequence(s[label].data()) for clip, s in self._clips.items()}
                of_class[label] = metric.combine_sequences(each)
            of_metric.append(metric.combine_classes_det_averaged(of_class))
        hota, clear, identity = of_metric
        return {
            "hota": float(np.mean(hota["HOTA"])),
            "deta": float(np.mean(hota["DetA"])),
            "assa": float(np.mean(hota["AssA"])),
            "mota": float(clear["MOTA"]),
            "idf1": float(identity["IDF1"]),
            "idsw": float(clear["IDSW"]),
        }


_KEYS: Final = ("hota", "deta", "assa", "mota", "idf1", "idsw")


def _metrics() -> list[Any]:
    import trackeval

    quiet = {"PRINT_CONFIG": False}
    return [trackeval.metrics.HOTA(), trackeval.metrics.CLEAR(quiet), trackeval.metrics.Identity(quiet)]


def _counted(similarity: Float, ignored: NDArray[np.bool_], *, is_open: bool) -> Int:
    """Columns that count."""
    near = np.where(similarity >= MATCH_IOU, similarity, 0)
    rows, columns = linear_sum_assignment(-near)
    matched = near[rows, columns] > 0
    on_ignored = set(columns[matched & ignored[rows]].tolist())
    taken = set(columns[matched].tolist())
    kept = [j for j in range(similarity.shape[1]) if j not in on_ignored and (j in taken or not is_open)]
    return np.array(kept, np.int64)


def _renumbered(ids: Sequence[Int]) -> tuple[list[Int], int]:
    every = np.unique(np.concatenate(ids)) if ids else np.zeros(0, np.int64)
    return [np.searchsorted(every, of_frame).astype(np.int64) for of_frame in ids], len(every)
