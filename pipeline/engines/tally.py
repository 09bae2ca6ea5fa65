"""What became of one source's frames in the inline engine: its ledger, what is in the lanes, and how long it took."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from pipeline.ledger import SourceLedger
from pipeline.messages import Frame, FrameResult, Gap, Latency

LATENCIES_KEPT = 65536  # percentiles are of the latest results


class Tally:
    """Settles frames in its ledger, and times those that came through."""

    def __init__(self, source_id: str) -> None:
        self.ledger = SourceLedger(source_id)
        self.in_lanes = 0
        self.message = ""
        self._latencies_ms = np.empty(LATENCIES_KEPT, dtype=np.float32)

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

    def lost(self, frame: Frame, error: Exception) -> tuple[Gap, ...]:
        """The gaps to declare for a frame that failed on its way."""
        self.in_lanes -= 1
        self.message = f"{type(error).__name__}: {error}"
        return self.ledger.lost(frame.epoch, frame.seq, frame.seq, "inference_error", hole="backlog")

    def resulted(self, frame: Frame, result: FrameResult) -> tuple[tuple[Gap, ...], FrameResult]:
        """The gaps to declare before a result, and the result with its latency and the frames lost before it."""
        self.in_lanes -= 1
        settled = self.ledger.result(frame.epoch, frame.seq, hole="backlog")
        assert settled is not None, f"{frame!r} came out of the lanes twice"
        latency_ms = (time.monotonic_ns() - frame.arrival_monotonic_ns) / 1e6
        self._latencies_ms[(self.results - 1) % LATENCIES_KEPT] = latency_ms
        timings = None if result.timings is None else replace(result.timings, latency_ms=latency_ms)
        gap_before = settled.gap_before
        return settled.gaps, replace(result, gap_before=gap_before, timings=timings)

    def latency(self) -> Latency | None:
        """Percentiles of the latest results; None before the first."""
        if self.results == 0:
            return None
        kept = self._latencies_ms[: min(self.results, LATENCIES_KEPT)]
        p50, p95, p99 = (float(value) for value in np.percentile(kept, [50, 95, 99]))
        return Latency(p50, p95, p99)
