"""What became of one source's frames in the inline engine: its ledger, what is in the lanes, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from operator import itemgetter

from pipeline import latency
from pipeline.ledger import SourceLedger
from pipeline.messages import Frame, FrameResult, Gap, Latency


class Tally:
    """Settles frames in its ledger, and times those that came through."""

    def __init__(self, source_id: str) -> None:
        self.ledger = SourceLedger(source_id)
        self.in_lanes = 0
        self.message = ""
        self._latencies = [0] * latency.BUCKETS

    @property
    def source_id(self) -> str:
        """Whose tally it is."""
        return self.ledger.source_id

    @property
    def results(self) -> int:
        """Results so far."""
        return self.ledger.counts.resulted

    @property
    def errors(self) -> int:
        """Frames lost to a failed batch."""
        return self.ledger.counts.dropped.get("inference_error", 0)

    def taken(self) -> None:
        """A frame went into the lanes."""
        self.in_lanes += 1

    def overtaken(self, frames: Iterable[tuple[int, int]]) -> Iterator[Gap]:
        """The gaps to declare for frames (epoch, seq), in order, that newer ones took the place of."""
        for epoch, seqs in groupby(frames, key=itemgetter(0)):
            for _, run in groupby(enumerate(seq for _, seq in seqs), key=lambda numbered: numbered[1] - numbered[0]):
                consecutive = [seq for _, seq in run]
                yield from self.ledger.lost(epoch, consecutive[0], consecutive[-1], "backlog")

    def lost(self, frame: Frame, error: Exception) -> tuple[Gap, ...]:
        """The gaps to declare for a frame that failed on its way."""
        self.in_lanes -= 1
        self.message = f"{type(error).__name__}: {error}"
        return self.ledger.lost(frame.epoch, frame.seq, frame.seq, "inference_error")

    def resulted(self, frame: Frame, result: FrameResult) -> tuple[tuple[Gap, ...], FrameResult]:
        """The gaps to declare before a result, and the result with its latency and the frames lost before it."""
        self.in_lanes -= 1
        settled = self.ledger.result(frame.epoch, frame.seq)
        assert settled is not None, f"{frame!r} came out of the lanes twice"
        latency_ms = (time.monotonic_ns() - frame.arrival_monotonic_ns) / 1e6
        latency.record(self._latencies, latency_ms)
        timings = None if result.timings is None else replace(result.timings, latency_ms=latency_ms)
        gap_before = settled.gap_before
        return settled.gaps, replace(result, gap_before=gap_before, timings=timings)

    def latency(self) -> Latency | None:
        """Percentiles of all results so far; None before the first."""
        return latency.latency_of(self._latencies)
