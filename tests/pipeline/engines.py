"""What tests of the local engine share: reading results, looking at a source, waiting for what must come true."""

from __future__ import annotations

import time
from collections.abc import Callable

from pipeline.engines.local import LocalEngine
from pipeline.messages import FrameResult, Gap, SourceStatus

PATIENCE_SECONDS = 90.0


class Reader:
    """Reads an engine's results and keeps them."""

    def __init__(self, engine: LocalEngine) -> None:
        self.items: list[FrameResult | Gap] = []
        self._results = engine.results()

    def until(self, enough: Callable[[list[FrameResult | Gap]], bool]) -> list[FrameResult | Gap]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not enough(self.items):
            assert time.monotonic() < deadline, self.items[-3:]
            self.items.append(next(self._results))
        return self.items

    def rest(self) -> list[FrameResult | Gap]:
        self.items.extend(self._results)
        return self.items


def results(items: list[FrameResult | Gap], source_id: str) -> list[FrameResult]:
    return [item for item in items if isinstance(item, FrameResult) and item.source_id == source_id]


def gaps(items: list[FrameResult | Gap], source_id: str) -> list[Gap]:
    return [item for item in items if isinstance(item, Gap) and item.source_id == source_id]


def luma(result: FrameResult) -> int:
    return int(result.detections.boxes[0, 2])


def status_of(engine: LocalEngine, source_id: str) -> SourceStatus:
    return next(status for status in engine.statistics().sources if status.source_id == source_id)


def wait_for(holds: Callable[[], bool], what: str = "what is waited for") -> None:
    """Wait for what a run comes to by itself, however slow the machine is."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {what}"
        time.sleep(0.02)


def worker_pid(engine: LocalEngine, role: str, source: int = -1) -> int:
    seats = [seat for seat in engine._roster.seats if seat.role == role and (source < 0 or seat.source == source)]
    assert seats[0].child is not None
    return seats[0].child.pid


def check_in_order(items: list[FrameResult | Gap], source_id: str) -> None:
    """Every frame of every epoch exactly once, without holes, the lost ones told of in the next result."""
    at, lost = (0, 0), 0
    for item in items:
        if item.source_id != source_id:
            continue
        first = item.first_seq if isinstance(item, Gap) else item.seq
        assert (item.epoch, first) == at or (item.epoch > at[0] and first == 0), (at, item)
        if isinstance(item, Gap):
            at, lost = (item.epoch, item.last_seq + 1), lost + item.count
        else:
            assert item.gap_before == lost, item
            at, lost = (item.epoch, item.seq + 1), 0
