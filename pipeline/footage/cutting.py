"""Cutting a recording into pieces that are decoded side by side, and choosing which of its frames are analysed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import msgspec
import numpy as np

from pipeline.batching import Cadence
from pipeline.messages import Int64, Piece, Survey

PIECE_FRAMES = 512  # usually; what an end costs is less than one
FEWEST_FRAMES = 48  # what comes before a piece is decoded for nothing
PIECES_A_WORKER = 4  # at least, so that none is idle at the end
NS = 1_000_000_000


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What of a recording is wanted. Times are seconds from its beginning."""

    every: int = 1  # one frame in so many is analysed
    fps: float = 0.0  # or so many a second; 0: all
    keyframes: bool = False  # only these are decoded
    begin: float | None = None
    end: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all of its pictures are decoded."""
        return self.begin is None and self.end is None and not self.keyframes


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A piece, the frames that are expected of it, and the time stamps of those to analyse; None: all of them."""

    piece: Piece
    expected: int
    analysed: Int64 | None = None


def cut(survey: Survey, selection: Selection, *, workers: int) -> list[Cut]:
    """Pieces in order, each from a keyframe on, that together are what is wanted, and enough for so many workers.

    A recording that must be read from its beginning is one piece.
    """
    if not survey.can_be_cut:
        return [Cut(Piece(keys_only=selection.keyframes), survey.packets)]
    begin, end = (_stamp(survey, seconds) for seconds in (selection.begin, selection.end))
    shown, keys = (_between(stamps, begin, end) for stamps in (survey.pts, survey.keys[:, 0]))
    if selection.keyframes:
        return [_placed(survey, begin, end, expected=len(keys), keys_only=True)] if len(keys) else []
    if not len(shown):
        return []
    chosen = _chosen(shown, survey, selection)
    least = min(max(len(shown) // (workers * PIECES_A_WORKER), FEWEST_FRAMES), PIECE_FRAMES)
    edges, first = [begin], 0
    for key, place in zip(keys.tolist(), np.searchsorted(shown, keys).tolist(), strict=True):
        if place - first >= least and len(shown) - place >= least // 2:
            edges.append(key)
            first = place
    return [_part(survey, shown, chosen, *span) for span in pairwise([*edges, end])]


def _part(survey: Survey, shown: Int64, chosen: Int64 | None, begin: int | None, end: int | None) -> Cut:
    analysed = None if chosen is None else _between(chosen, begin, end)
    return _placed(survey, begin, end, expected=len(_between(shown, begin, end)), analysed=analysed)


def _between(stamps: Int64, begin: int | None, end: int | None) -> Int64:
    """Those in [begin, end) of rising ones."""
    low, high = (None if edge is None else int(np.searchsorted(stamps, edge)) for edge in (begin, end))
    return stamps[low:high]


def _placed(
    survey: Survey,
    begin: int | None,
    end: int | None,
    *,
    expected: int,
    analysed: Int64 | None = None,
    keys_only: bool = False,
) -> Cut:
    """With the keyframe that decoding begins with: the one before its own.

    A picture may need what comes before its keyframe where that only begins to refresh the picture, or where pictures
    before it are sent after it.
    """
    own = 0 if begin is None else int(np.searchsorted(survey.keys[:, 0], begin, side="right"))  # keyframes up to it
    pts, dts = survey.keys[own - 2].tolist() if own >= 2 else (None, None)
    return Cut(Piece(begin, end, pts, dts, keys_only), expected, analysed)


def _stamp(survey: Survey, seconds: float | None) -> int | None:
    """The time stamp so many seconds after the first picture's."""
    if seconds is None:
        return None
    return int(survey.pts[0]) + round(Fraction(seconds).limit_denominator(10**9) / survey.time_base)


def _chosen(pts: Int64, survey: Survey, selection: Selection) -> Int64 | None:
    if selection.every > 1:
        return pts[:: selection.every]
    if selection.fps <= 0:
        return None
    wants, step = Cadence(selection.fps).wants, survey.time_base * NS
    first_ns = int(int(survey.pts[0]) * step)
    return pts[[wants(survey.start_ns + int(one * step) - first_ns) for one in pts.tolist()]]


def chooser(selection: Selection, analysed: Int64 | None, *, cut: bool) -> Callable[[int | None, int, int], bool]:
    """Whether a frame is analysed, by its time stamp, its place and its time; asked once of each, in order."""
    if cut:
        stamps = None if analysed is None else set(analysed.tolist())
        return lambda pts, _, __: stamps is None or pts in stamps
    if selection.every > 1:
        return lambda _, number, __: number % selection.every == 0
    if selection.fps > 0:
        wants = Cadence(selection.fps).wants
        return lambda _, __, time_ns: wants(time_ns)
    return lambda _, __, ___: True
