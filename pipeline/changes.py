"""What has changed in a run since the last look, as events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.events import Event, Level
from pipeline.messages import RunStatistics, SourceStatus
from pipeline.states import SourceState

LEVELS: Final[dict[SourceState, Level]] = {
    SourceState.STALLED: Level.WARNING,
    SourceState.NO_DECODABLE_FRAMES: Level.WARNING,
    SourceState.FAULTED: Level.WARNING,
    SourceState.UNAUTHORIZED: Level.ERROR,
    SourceState.NOT_FOUND: Level.ERROR,
    SourceState.UNSUPPORTED: Level.ERROR,
}


class Changes:
    """Compares looks at a run: notes, states, epochs, and a ledger that does not balance."""

    def __init__(self) -> None:
        self._notes = 0
        self._states: dict[str, tuple[str, str]] = {}
        self._epochs: dict[str, int] = {}
        self._violations: dict[str, int] = {}

    def since(self, statistics: RunStatistics) -> Iterator[Event]:
        """What is new in this look."""
        for note in statistics.notes[self._notes :]:
            yield Event("note", note)
        self._notes = len(statistics.notes)
        yield from self._of_those_that_left(statistics)
        for source in statistics.sources:
            yield from self._of_source(source)

    def _of_those_that_left(self, statistics: RunStatistics) -> Iterator[Event]:
        for source_id in self._states.keys() - {source.source_id for source in statistics.sources}:
            before, _ = self._states.pop(source_id)
            self._epochs.pop(source_id, None)
            self._violations.pop(source_id, None)
            yield Event(
                "source_left", f"{source_id} takes part no longer", source_id=source_id, details={"from": before}
            )

    def _of_source(self, source: SourceStatus) -> Iterator[Event]:
        known = self._epochs.get(source.source_id, 0)
        if source.epoch > known:
            self._epochs[source.source_id] = source.epoch
            details = {"epoch": source.epoch, "reconnects": source.reconnects}
            yield Event("epoch", f"epoch {source.epoch}", source_id=source.source_id, details=details)
        before = self._states.get(source.source_id, ("", ""))
        if before != (source.state, source.message):
            self._states[source.source_id] = source.state, source.message
            yield _state(source, before[0])
        if source.ledger_violations > self._violations.get(source.source_id, 0):
            yield _violation(source)
        self._violations[source.source_id] = source.ledger_violations


def _state(source: SourceStatus, before: str) -> Event:
    details: dict[str, str | int | float] = {"state": source.state, "from": before, "epoch": source.epoch}
    if source.retry_in_seconds is not None:
        details["retry_in_seconds"] = round(source.retry_in_seconds, 1)
    told = source.message.removeprefix(f"{source.source_id}: ") or source.state
    return Event("source_state", told, LEVELS.get(SourceState(source.state), Level.INFO), source.source_id, details)


def _violation(source: SourceStatus) -> Event:
    message = f"the ledger did not balance, {source.ledger_violations} times so far; please report this"
    details = ledger_of(source) | {"violations": source.ledger_violations}
    return Event("ledger_violation", message, Level.ERROR, source.source_id, details)


def ledger_of(source: SourceStatus) -> dict[str, str | int | float]:
    """A source's ledger as an event's details."""
    return {
        "captured": source.captured,
        "resulted": source.resulted,
        "dropped": sum(source.dropped.values()),
        "in_flight": source.in_flight,
        "undecoded": source.undecoded,
        "damaged": source.damaged,
        "balance": source.balance,
    }
