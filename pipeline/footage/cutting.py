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
    whole = Piece(begin, end)
    if selection.keyframes:
        keys = [pts for pts, _ in survey.keys if whole.holds(pts)]
        if not keys:
            return []
        return [_placed(Cut(Piece(begin, end, keys_only=True), len(keys)), survey)]
    pts = survey.pts[[whole.holds(int(one)) for one in survey.pts]] if not whole.is_whole else survey.pts
    if not len(pts):
        return []
    chosen = _chosen(pts, survey, selection)
    least = min(max(len(pts) // (workers * PIECES_A_WORKER), FEWEST_FRAMES), PIECE_FRAMES)
    edges: list[int | None] = [begin]
    first = int(np.searchsorted(pts, begin)) if begin is not None else 0
    for key, _ in survey.keys:
        at = int(np.searchsorted(pts, key))
        if at - first >= least and len(pts) - at >= least // 2 and whole.holds(key):
            edges.append(key)
            first = at
    edges.append(end)
    return [_part(survey, pts, chosen, *span) for span in pairwise(edges)]


def _part(survey: Survey, pts: Int64, chosen: Int64 | None, begin: int | None, end: int | None) -> Cut:
    piece = Piece(begin, end)
    low, high = (None if edge is None else int(np.searchsorted(pts, edge)) for edge in (begin, end))
    count = len(pts[low:high])
    if chosen is not None:
        low, high = (None if edge is None else int(np.searchsorted(chosen, edge)) for edge in (begin, end))
    return _placed(Cut(piece, count, None if chosen is None else chosen[low:high]), survey)


def _placed(made: Cut, survey: Survey) -> Cut:
    """With the keyframe that decoding begins with: the one before its own.

    A picture may need what comes before its keyframe where that only begins to refresh the picture, or where pictures
    before it are sent after it.
    """
    piece = made.piece
    if piece.begin is None or piece.keys_only:
        return made
    before = [key for key in survey.keys if key[0] <= piece.begin]
    if len(before) < 2:
        return made
    pts, dts = before[-2]
    return Cut(Piece(piece.begin, piece.end, pts, dts), made.expected, made.analysed)


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
