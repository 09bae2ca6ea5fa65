"""How far a stream has come, and what is due to be written there next: every frame once, as a result or in a gap.

Whatever was lost on the way, in the queue, on the disk or with a process, shows as a hole between what is there and
what comes next, and is declared there, so that it does not matter where it was lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pipeline.messages import Gap
from pipeline.wire import EntryId, Header, Kind, encode_gap, encode_header, gap_id, result_id
from pipeline.wire.schema import MessageType
from pipeline.wire.streams import NOTHING
from stages.publish.record import Record

MOST_RUNS = 64  # epochs of which it is remembered what was acknowledged


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry to write."""

    id: EntryId
    header: bytes
    payload: bytes
    declares: int = 0  # frames that are declared lost here and were not before


@dataclass(slots=True)
class Run:
    """Frames of one epoch, without a hole."""

    epoch: int
    first: int
    last: int


@dataclass(slots=True)
class Tail:
    """The end of one stream."""

    id: EntryId = NOTHING
    epoch: int = 0
    last: int = -1  # frame
    session: int = 0
    number: int = 0
    lost: int = 0  # frames declared lost since the last result
    acknowledged: deque[Run] = field(default_factory=lambda: deque(maxlen=MOST_RUNS))

    @classmethod
    def found(cls, at: EntryId, header: Header | None) -> Tail:
        """The end that was found in Redis; `header` is its entry's, where it has not been trimmed away."""
        session, number = (0, 0) if header is None else (header.session, header.number)
        return cls(at, at.epoch, at.last_seq, session, number)

    def copy(self) -> Tail:
        """One to plan on."""
        return replace(self, acknowledged=deque((replace(run) for run in self.acknowledged), maxlen=MOST_RUNS))

    def advance(self, record: Record, kind: Kind) -> list[Entry]:
        """The entries due for a record, which is the next of its source; the tail is behind them then."""
        if record.session == self.session and record.number <= self.number and record.type != "over":
            return []  # written before, though the answer was lost
        if record.epoch < self.epoch:
            return [self._told(record, kind, record.first)] if record.type != "over" else []
        expected = self.last + 1 if record.epoch == self.epoch else 0
        before = record.last if record.type == "over" else record.first - 1
        entries = [self._declare(record, kind, expected, before)] if expected <= before else []
        if record.type == "result" or (record.type == "gap" and expected <= record.last):
            entries.append(self._told(record, kind, max(record.first, expected)))
        return entries

    def lost_since(self, found: Tail, kind: Kind, *, source_id: str, time_ns: int) -> Iterator[Entry]:
        """Gaps for what was acknowledged and lies behind the end `found`; the tail stays where it is."""
        for run in self.acknowledged:
            first = max(run.first, found.last + 1) if run.epoch == found.epoch else run.first
            if run.epoch >= found.epoch and first <= run.last:
                missing = max(0, self.number - found.number) if found.session == self.session else 1
                header = _header("gap", kind, self.session, max(1, self.number), missing, 0, time_ns)
                gap = Gap(source_id, run.epoch, first, run.last, "sink_error")
                yield Entry(gap_id(run.epoch, run.last), header, encode_gap(gap), gap.count)

    def _told(self, record: Record, kind: Kind, first: int) -> Entry:
        """The record itself."""
        if record.type == "gap":
            gap = Gap(record.source_id, record.epoch, first, record.last, record.reason)
            self.lost += gap.count
            header = _header("gap", kind, record.session, record.number, 1, 0, record.time_ns)
            entry = Entry(gap_id(record.epoch, record.last), header, encode_gap(gap))
        else:
            gap_before = max(record.gap_before, self.lost)
            header = _header("result", kind, record.session, record.number, 1, gap_before, record.time_ns)
            entry = Entry(result_id(record.epoch, record.last), header, record.payloads[kind])
            self.lost = 0
        self._go(entry.id, record.epoch, first, record.last, record.session, record.number)
        return entry

    def _declare(self, record: Record, kind: Kind, first: int, last: int) -> Entry:
        """A gap for frames that should have come before the record."""
        gap = Gap(record.source_id, record.epoch, first, last, "sink_error")
        number = record.number if record.type == "over" else record.number - 1
        numbers = max(0, number - (self.number if record.session == self.session else 0))
        header = _header("gap", kind, record.session, max(1, number), numbers, 0, record.time_ns)
        entry = Entry(gap_id(record.epoch, last), header, encode_gap(gap), gap.count)
        self.lost += gap.count
        self._go(entry.id, record.epoch, first, last, record.session, number)
        return entry

    def _go(self, at: EntryId, epoch: int, first: int, last: int, session: int, number: int) -> None:
        if at <= self.id:
            return  # it will be refused
        self.id, self.epoch, self.last, self.session, self.number = at, epoch, last, session, number
        if self.acknowledged and self.acknowledged[-1].epoch == epoch:
            self.acknowledged[-1].last = last
        else:
            self.acknowledged.append(Run(epoch, first, last))


def _header(
    type_: MessageType, kind: Kind, session: int, number: int, numbers: int, gap_before: int, time_ns: int
) -> bytes:
    return encode_header(
        Header(
            type=type_,
            kind=kind,
            session=session,
            number=number,
            numbers=numbers,
            gap_before=gap_before,
            publish_time_ns=time_ns,
        )
    )
