"""What became of each frame: one source's frames are settled in order, each as a result or inside one gap.

The ledger is pure bookkeeping, without sockets or clocks. Whoever publishes asks it about every item, and does what it
answers: declare these gaps first, then hand the item on; or nothing, because the frame was settled before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, get_args

from pipeline.messages import Gap, GapReason

REASONS: tuple[GapReason, ...] = get_args(GapReason)


class Counts(Protocol):
    """Where a source's ledger keeps its figures: `PlainCounts`, or memory that outlives the process."""

    epoch: int  # being settled; 0 before the first
    next_seq: int  # the first frame of the epoch that is not settled
    resulted: int
    lost_since_result: int
    fenced: int  # items that came for frames settled before

    def drop(self, reason: GapReason, frames: int) -> None:
        """Count frames as dropped."""

    @property
    def dropped(self) -> dict[str, int]:
        """Frames dropped so far by reason, reasons without any left out."""


@dataclass(slots=True)
class PlainCounts:
    """Counts in ordinary memory."""

    epoch: int = 0
    next_seq: int = 0
    resulted: int = 0
    lost_since_result: int = 0
    fenced: int = 0
    by_reason: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: GapReason, frames: int) -> None:
        """Count frames as dropped."""
        self.by_reason[reason] = self.by_reason.get(reason, 0) + frames

    @property
    def dropped(self) -> dict[str, int]:
        """Frames dropped so far by reason."""
        return dict(self.by_reason)


@dataclass(frozen=True, slots=True)
class Settled:
    """The answer for a result: the gaps that come before it, and how many frames were lost since the last result."""

    gaps: tuple[Gap, ...]
    gap_before: int


class SourceLedger:
    """One source's frames in order. Items of the past, by epoch or by `seq`, are fenced off."""

    def __init__(self, source_id: str, counts: Counts | None = None) -> None:
        self.source_id = source_id
        self.counts: Counts = PlainCounts() if counts is None else counts

    @property
    def settled(self) -> int:
        """Frames settled so far, over all epochs."""
        return self.counts.resulted + sum(self.counts.dropped.values())

    def result(self, epoch: int, seq: int, *, hole: GapReason = "worker_restart") -> Settled | None:
        """A frame has a result. `hole` is the reason for frames before it that nobody has spoken for.

        None: the frame is fenced off, because it was settled already or its epoch is over.
        """
        if not self._admits(epoch, seq):
            return None
        gaps = self._lose_up_to(epoch, seq, hole)
        counts = self.counts
        before = counts.lost_since_result
        counts.next_seq, counts.resulted, counts.lost_since_result = seq + 1, counts.resulted + 1, 0
        return Settled(gaps, before)

    def lost(
        self, epoch: int, first_seq: int, last_seq: int, reason: GapReason, *, hole: GapReason = "worker_restart"
    ) -> tuple[Gap, ...]:
        """Frames are lost: the gaps to declare, none for frames that were settled before."""
        if not self._admits(epoch, last_seq):
            return ()
        gaps = self._lose_up_to(epoch, first_seq, hole)
        return gaps + self._lose_up_to(epoch, last_seq + 1, reason)

    def close(self, epoch: int, captured: int, reason: GapReason) -> tuple[Gap, ...]:
        """An epoch of `captured` frames will give nothing more: the gap at its end, if there is one."""
        counts = self.counts
        settled = epoch < counts.epoch or (epoch == counts.epoch and captured <= counts.next_seq)
        if settled or captured == 0:
            return ()
        self._admits(epoch, captured - 1)
        return self._lose_up_to(epoch, captured, reason)

    def unsettle(self) -> tuple[Gap, ...]:
        """The last result may never have left: it becomes a gap, which a reader who has the result ignores."""
        counts = self.counts
        counts.resulted -= 1
        counts.lost_since_result += 1
        counts.drop("worker_restart", 1)
        last = counts.next_seq - 1
        return (Gap(self.source_id, counts.epoch, last, last, "worker_restart"),)

    def _admits(self, epoch: int, seq: int) -> bool:
        counts = self.counts
        if epoch < counts.epoch or (epoch == counts.epoch and seq < counts.next_seq):
            counts.fenced += 1
            return False
        if epoch > counts.epoch:
            counts.epoch, counts.next_seq = epoch, 0
        return True

    def _lose_up_to(self, epoch: int, seq: int, reason: GapReason) -> tuple[Gap, ...]:
        counts = self.counts
        first = counts.next_seq
        if seq <= first:
            return ()
        counts.drop(reason, seq - first)
        counts.lost_since_result += seq - first
        counts.next_seq = seq
        return (Gap(self.source_id, epoch, first, seq - 1, reason),)


class Ledger:
    """The ledgers of all sources, each made when first asked for."""

    def __init__(self) -> None:
        self._sources: dict[str, SourceLedger] = {}

    def __getitem__(self, source_id: str) -> SourceLedger:
        return self._sources.setdefault(source_id, SourceLedger(source_id))
