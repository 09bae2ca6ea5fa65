"""Video panoptic quality: Kim et al., "Video Panoptic Segmentation", CVPR 2020 (arXiv:2006.11339), section 4.

PQ of tubes in place of segments: a tube is all pixels of one identity (of one class, for stuff) in a window of k frames
that follow each other, and one is right where it shares its class and more than half of the union with one of the
truth. Windows begin at every frame; VPQ is the mean over k of the mean over classes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.models.evaluation.panoptic_quality import (
    Matched,
    PanopticQuality,
    labels_of,
    match_shared,
    mean,
    numbered,
)

Int = NDArray[np.int64]
WINDOWS: Final = (1, 5, 10, 15)  # frames; those of the paper's dense data set, VIPER
_LONE = 1 << 39  # identities from here are of one frame alone
_MOST_SEGMENTS = 1 << 20


class Shared(NamedTuple):
    """Pixels of one frame that a segment of the truth and a found one share, a row for each such pair."""

    true: Int  # [P] codes of `numbered`
    found: Int  # [P]
    pixels: Int  # [P]


def shared_pixels(found: Int, truth: Int) -> Shared:
    """The pairs in one frame, void among them.

    Args:
        found, truth: label and identity of each pixel [H, W, 2]; label -1 is void.
    """
    found_codes, found_at = numbered(found)
    truth_codes, truth_at = numbered(truth)
    pairs, pixels = np.unique(truth_at * len(found_codes) + found_at, return_counts=True)
    rows, columns = np.divmod(pairs, len(found_codes))
    return Shared(truth_codes[rows], found_codes[columns], pixels)


def match_tubes(frames: Sequence[Shared], *, classes: int, open_labels: Collection[int] = ()) -> Matched:
    """Hold the tubes of a window's frames against the truth's; void, and what is left open, as `match_segments`."""
    true, found, pixels = (np.concatenate(column) for column in zip(*frames, strict=True))
    truth_codes, rows = np.unique(true, return_inverse=True)
    found_codes, columns = np.unique(found, return_inverse=True)
    shared = np.zeros((len(truth_codes), len(found_codes)), np.int64)
    np.add.at(shared, (rows, columns), pixels)
    return match_shared(
        shared, labels_of(truth_codes), labels_of(found_codes), classes=classes, open_labels=open_labels
    )


class VideoFigures(NamedTuple):
    """Each None where the truth shows nothing that it could be of."""

    vpq: float | None
    things: float | None
    stuff: float | None
    by_window: dict[int, float | None]  # of all classes; None where no clip is as long


class VideoQuality:
    """Gathers frames, then gives VPQ.

    Args:
        names: class names; a label is an index into them, things first.
        things: how many of them are things.
        windows: lengths k, in frames.
    """

    def __init__(self, names: Sequence[str], *, things: int, windows: Sequence[int] = WINDOWS) -> None:
        self._sums = {k: PanopticQuality(names, things=things) for k in windows}
        self._recent: dict[str, deque[tuple[Shared, frozenset[int]]]] = {}
        self._frames = 0

    def add(self, clip: str, found: Int, truth: Int, *, open_labels: Collection[int] = ()) -> None:
        """The next frame of a clip: label and identity of each pixel [H, W, 2].

        Label -1 is void; identity 0 is that of stuff, one below 0 of a thing that nothing follows: it is another one in
        every frame. A clip shorter than a window has none of its length.
        """
        self._frames += 1
        identities = found[..., 1]
        lone = _LONE + self._frames * _MOST_SEGMENTS - identities
        apart = np.stack([found[..., 0], np.where(identities < 0, lone, identities)], -1)
        recent = self._recent.setdefault(clip, deque(maxlen=max(self._sums)))
        recent.append((shared_pixels(apart, truth), frozenset(open_labels)))
        for k, total in self._sums.items():
            if len(recent) >= k:
                window = list(recent)[-k:]
                left_open = frozenset[int]().union(*(labels for _, labels in window))
                total.add_matched(
                    match_tubes([one for one, _ in window], classes=len(total.names), open_labels=left_open)
                )

    def figures(self, names: Iterable[str] | None = None) -> VideoFigures:
        """VPQ over all classes that the truth shows; of `names` alone where given."""
        wanted = None if names is None else list(names)
        of_window = {k: total.quality(wanted) for k, total in self._sums.items()}
        everything, things, stuff = (
            mean(one[group]["pq"] for one in of_window.values()) for group in ("all", "things", "stuff")
        )
        return VideoFigures(everything, things, stuff, {k: one["all"]["pq"] for k, one in of_window.items()})

    def by_class(self) -> dict[str, float | None]:
        """The mean over windows of each class; None for one that the truth never shows."""
        of_window = [total.by_class() for total in self._sums.values()]
        return {name: mean(one[name]["pq"] for one in of_window) for name in of_window[0]}
