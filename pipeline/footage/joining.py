"""Putting pieces together: frames numbered and timed, tracked in order, and written as results."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.footage.records import Header, PieceFile, Record, State
from pipeline.footage.shelf import Counts
from pipeline.ledger import SourceLedger
from pipeline.messages import (
    Batch,
    Counted,
    Frame,
    FrameResult,
    Gap,
    Surface,
    Survey,
    Timings,
    results_of,
)
from pipeline.stage import Numbering, Sink, Stage

TRACKED_TOGETHER = 64  # frames that go through the tracker at once
NS = 1_000_000_000
PAUSE_NS = 10_000_000_000  # between segments: more than it is a discontinuity


class NumberingOf(Protocol):
    """`pipeline.build.numbering_of`."""

    def __call__(self, recording: Survey, source_id: str, *, next_epoch: Callable[[], int]) -> Numbering: ...


class Joiner:
    """The results of one source: of a recording, or of segments that follow one another."""

    def __init__(self, source_id: str, *, tracker: Stage, numbering_of: NumberingOf, sinks: Sequence[Sink]) -> None:
        """The tracker knows nothing of the source yet."""
        self._source_id, self._tracker, self._sinks = source_id, tracker, sinks
        self._numbering_of = numbering_of
        self._ledger = SourceLedger(source_id)
        self._epochs = itertools.count(1)
        self._numbering: Numbering | None = None
        self._epoch, self._seq = 0, 0  # of the frame to come
        self._of_numbering = 0  # the epoch that it was in last
        self._last: Frame | None = None
        self._size: tuple[int, int] | None = None
        self._is_new_segment = True
        self._counted = Counted()  # of this segment, so far
        self._undecoded = self._damaged = self._results = self._captured = 0

    @property
    def counts(self) -> Counts:
        """So far."""
        return Counts(
            frames=self._captured,
            results=self._results,
            undecoded=self._undecoded + self._counted.undecoded,
            damaged=self._damaged + self._counted.damaged,
        )

    def begin_segment(self) -> None:
        """The next piece is the first of a recording."""
        self._undecoded += self._counted.undecoded
        self._damaged += self._counted.damaged
        self._counted, self._numbering, self._is_new_segment = Counted(), None, True

    def lose_segment(self) -> None:
        """A recording that could not be read."""
        self._undecoded += 1

    def add(self, path: Path, *, first_pts: int | None = None, whole: bool) -> None:
        """The next piece; `first_pts` is of the recording's first picture where only a part of it is wanted.

        `whole`: counts are of all of the recording, so that what its container declares and is not there is missed.
        Raises `SinkError`.
        """
        piece = PieceFile(path)
        try:
            frames = self._frames(piece, first_pts)
            while together := list(itertools.islice(frames, TRACKED_TOGETHER)):
                for item in self._tracked(piece.header, together):
                    for sink in self._sinks:
                        sink.write(item, None)
        finally:
            piece.close()
        assert piece.counted is not None
        self._counted += piece.counted if whole else replace(piece.counted, declared=0)

    def _frames(self, piece: PieceFile, first_pts: int | None) -> Iterator[tuple[Frame, Record]]:
        """Frames as if all segments were one recording: in one epoch, as long as the picture's size is the same."""
        for record in piece.records():
            if self._numbering is None:
                self._numbering = self._begun(piece.header, record, first_pts)
            numbering = self._numbering
            surface = _blank(*record.shown)
            frame = numbering.frame(surface, pts=record.pts, size=record.size, now_ns=0)
            if record.state is State.OUTSIDE:
                continue
            time_ns, breaks = frame.capture_time_ns, frame.discontinuity
            if self._is_new_segment:
                is_other = self._size is not None and record.size != self._size
                if self._last is not None:
                    breaks |= not 0 <= time_ns - self._last.capture_time_ns <= PAUSE_NS
            else:
                is_other = frame.epoch != self._of_numbering
            if self._last is not None:
                time_ns = max(time_ns, self._last.capture_time_ns + 1)
            if is_other or self._epoch == 0:
                self._epoch, self._seq = next(self._epochs), 0
            self._of_numbering, self._is_new_segment, self._size = frame.epoch, False, record.size
            self._last = replace(frame, epoch=self._epoch, seq=self._seq, capture_time_ns=time_ns, discontinuity=breaks)
            self._seq += 1
            self._captured += 1
            yield self._last, record

    def _begun(self, header: Header, first: Record, first_pts: int | None) -> Numbering:
        """What numbers the frames of a recording: its clock counts from the first picture of all of it."""
        late_ns = 0
        if first_pts is not None and first.pts is not None:
            late_ns = int(first.pts * header.step * NS) - int(first_pts * header.step * NS)
        about = Survey(time_base=header.step, rate=header.frame_rate, start_ns=header.start_ns + late_ns)
        return self._numbering_of(about, self._source_id, next_epoch=itertools.count(1).__next__)

    def _tracked(self, header: Header, together: list[tuple[Frame, Record]]) -> Iterator[FrameResult | Gap]:
        good = [(frame, record) for frame, record in together if record.state is not State.FAILED]
        results: dict[tuple[str, int, int], FrameResult] = {}
        if good:
            batch = self._tracker(_batch_of(good))
            timings = [Timings(record.batch_size, 0.0, record.stage_ms) for _, record in good]
            made = results_of(batch, classes=header.classes, model=header.model_info, timings=timings)
            results = {result.identity: result for result in made}
        for frame, _ in together:
            result = results.get(frame.identity)
            if result is None:
                yield from self._ledger.lost(frame.epoch, frame.seq, frame.seq, "inference_error")
                continue
            settled = self._ledger.result(frame.epoch, frame.seq)
            assert settled is not None, "a frame came twice"
            yield from settled.gaps
            self._results += 1
            yield replace(result, gap_before=settled.gap_before)


def _batch_of(good: list[tuple[Frame, Record]]) -> Batch:
    analysed = tuple(record.state is State.ANALYSED for _, record in good)
    maps = tuple(record.map for _, record in good)
    return Batch(
        tuple(frame for frame, _ in good),
        detections=tuple(record.detections for _, record in good),
        panoptic=maps if any(one is not None for one in maps) else None,
        analysed=None if all(analysed) else analysed,
    )


@lru_cache(maxsize=64)
def _blank(width: int, height: int) -> Surface:
    """A picture of a size, without memory of its own."""
    half = ((height + 1) // 2, (width + 1) // 2)
    planes = tuple(np.broadcast_to(np.uint8(0), shape) for shape in ((height, width), half, half))
    return Surface("yuv420p", planes)
