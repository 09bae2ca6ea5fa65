"""One source as the publisher sees it: what is due to be said of its frames, in order, and written down before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.board import EpochRow, SourceCells
from pipeline.ledger import SourceLedger
from pipeline.messages import Gap, GapReason
from pipeline.workers.messages import Abandoned, Analysed, Awaited, Ended, Lost


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be published now: these gaps, then the result if there is one, then that an epoch is over."""

    gaps: tuple[Gap, ...] = ()
    result: bool = False
    gap_before: int = 0
    over: tuple[int, int] | None = None  # an epoch, and how many frames it had


class Stream:
    """A source's frames, settled on the board.

    Every method that gives something `Due` has written it down as settled. `sent` says that it went out. A publisher
    that finds on the board something settled and not known to have gone out declares it lost: nothing is ever
    published twice.
    """

    def __init__(self, source_id: str, cells: SourceCells) -> None:
        self._cells = cells
        self._counts = cells.publisher
        self._ledger = SourceLedger(source_id, cells.publisher)
        self._final = False
        self._closed_before = 0  # epochs below this one are over
        self._abandoned: Abandoned | None = None

    @property
    def ended(self) -> bool:
        """Whether every frame is settled and no more will come."""
        return bool(self._counts.ended)

    def resume(self) -> Iterator[Due]:
        """What an earlier publisher was just publishing when it was ended, and how long the last epochs were."""
        sending, over = self._unsent(), self._cells.over_rows
        epoch = sending.gaps[0].epoch if sending.gaps else 0
        yield from (Due(over=(row.epoch, row.captured)) for row in over if row.epoch < epoch)
        yield sending
        yield from (Due(over=(row.epoch, row.captured)) for row in over if row.epoch >= epoch)

    def result(self, message: Analysed) -> Due | None:
        """A result has come; None where it is fenced off."""
        before = self._counts.settle_next(message.epoch, message.seq)
        if before is not None:
            return Due(result=True, gap_before=before)
        with self._counts.settling():
            settled = self._ledger.result(message.epoch, message.seq)
            if settled is None:
                return None
            due = Due(settled.gaps, result=True, gap_before=settled.gap_before)
            self._sending(due, epoch=message.epoch, last=message.seq)
        return due

    def lost(self, message: Lost) -> Due:
        """Frames are lost."""
        with self._counts.settling():
            gaps = self._ledger.lost(message.epoch, message.first_seq, message.last_seq, message.reason)
            due = Due(gaps)
            self._sending(due, epoch=message.epoch, last=message.last_seq)
        return due

    def before(self, epoch: int) -> Iterator[Due]:
        """What is to be said before anything of this epoch: earlier ones have come to their end."""
        if epoch <= self._closed_before:
            return  # asked for each frame, and epochs only grow: none below was begun since
        self._closed_before = epoch
        for row in self._cells.open_rows:
            if row.epoch < epoch:
                yield self._close(row, "worker_restart")

    def end(self, message: Ended) -> Due:
        """An epoch has come to its end."""
        self._final |= message.final
        row = self._cells.row(message.epoch)
        due = Due() if row is None else self._close(row, message.reason)
        self._note_end()
        return due

    def news(self, *, final: bool) -> None:
        """The camera worker has told how its source does."""
        self._final |= final
        self._note_end()

    def abandon(self, message: Abandoned) -> None:
        """Nothing more will be said of epochs up to the newest of then, except by the vision worker of what it has."""
        self._abandoned = message

    @property
    def is_abandoned(self) -> bool:
        """Whether `close_abandoned` has something to do."""
        return self._abandoned is not None

    def close_abandoned(self) -> Iterator[Due]:
        """Close abandoned epochs of which nothing is awaited; asked when nothing has come for a while."""
        if self._abandoned is None:
            return
        message = self._abandoned
        rows = [row for row in self._cells.open_rows if row.epoch <= message.newest]
        if any(_awaits(row, message.awaited) for row in rows):
            return
        self._abandoned = None
        yield from (self._close(row, message.reason) for row in rows)
        self._final |= message.final
        self._note_end()

    def close_all(self, reason: GapReason) -> Iterator[Due]:
        """Close every epoch: nothing more will come of anything."""
        yield from (self._close(row, reason) for row in self._cells.open_rows)
        self._note_end()

    def sent(self) -> None:
        """What was due has gone out."""
        self._counts.sending_epoch = 0

    @property
    def is_taken(self) -> bool:
        """Whether all that the vision worker said it sent has come."""
        return all(self._cells.taken(row) >= row.vision_sent for row in self._cells.open_rows)

    def _unsent(self) -> Due:
        """What was written down and may never have left, as a gap."""
        counts = self._counts
        if not counts.sending_epoch:
            return Due()
        with counts.settling():
            if counts.sending_result:
                self._ledger.unsettle()
                counts.sending_result = 0
        first, last = counts.sending_first, counts.sending_last
        return Due((Gap(self._ledger.source_id, counts.sending_epoch, first, last, "worker_restart"),))

    def _close(self, row: EpochRow, reason: GapReason) -> Due:
        with self._counts.settling():
            due = Due(self._ledger.close(row.epoch, row.captured, reason), over=(row.epoch, row.captured))
            self._counts.closed_captured += row.captured
            self._counts.closed_epoch = row.epoch
            self._sending(due, epoch=row.epoch, last=row.captured - 1)
        return due

    def _sending(self, due: Due, *, epoch: int, last: int) -> None:
        if not due.gaps and not due.result:
            return
        counts = self._counts
        counts.sending_first = due.gaps[0].first_seq if due.gaps else last
        counts.sending_last, counts.sending_result = last, int(due.result)
        counts.sending_epoch = epoch

    def _note_end(self) -> None:
        if self._final and not self._cells.open_rows:
            self._counts.ended = 1


def _awaits(row: EpochRow, awaited: Awaited) -> bool:
    """Whether the vision worker will still speak of frames of an epoch."""
    on_their_way = awaited == "sent" and row.camera_sent > row.vision_received
    return on_their_way or (awaited != "nothing" and row.vision_held > 0)
