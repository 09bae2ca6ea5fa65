"""A sink that takes results as they are coded and delivers in its own time, with its ledger."""

from __future__ import annotations

from collections import Counter

from pipeline.messages import Gap
from pipeline.stage import CodedSink, DeferredSink, Place
from pipeline.workers.messages import DeferredCounts


class DeferredAccount:
    """What it took; how far it is with that, it tells itself."""

    def __init__(self, sink: CodedSink) -> None:
        self.sink = sink
        self.taken: Counter[str] = Counter()

    @property
    def failed(self) -> dict[str, int]:
        """What it took and gave up, by source."""
        return self.sink.progress().lost

    def result(
        self, source_id: str, epoch: int, seq: int, payload: bytes, *, gap_before: int, place: Place | None
    ) -> None:
        """Hand a result over."""
        self.sink.write_result(source_id, epoch, seq, payload, gap_before=gap_before, place=place)
        self.taken[source_id] += 1

    def gap(self, gap: Gap, place: Place | None) -> None:
        """Hand a gap over."""
        self.sink.write_gap(gap, place=place)
        self.taken[gap.source_id] += 1


def counts_of(sink: DeferredSink) -> DeferredCounts:
    """How far a sink is."""
    progress = sink.progress()
    return DeferredCounts(
        reachable=progress.reachable,
        delivered=progress.delivered,
        lost=progress.lost,
        waiting=progress.waiting,
        waiting_bytes=progress.waiting_bytes,
    )
