"""What `everyframe run --log-format json` tells while it runs: events, one a line, on the error stream."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from pipeline.changes import Changes, ledger_of
from pipeline.events import Event, Level
from pipeline.logs import JsonLog, Repeats
from pipeline.messages import RunStatistics


class JsonDisplay:
    """Logs what happens and what changes."""

    def __init__(self, log: JsonLog, opening: Event) -> None:
        self._log, self._opening = log, opening
        self._changes, self._repeats = Changes(), Repeats()

    def update(self, statistics: RunStatistics, events: Sequence[Event] = ()) -> None:
        """Log what is new since the last time."""
        self._write(self._repeats.passed([*events, *self._changes.since(statistics)]))

    def finish(self, statistics: RunStatistics) -> None:
        """Log what the run came to: the ledger of each source."""
        self._write(self._repeats.rest())
        for source in statistics.sources:
            dropped = {f"dropped_{reason}": count for reason, count in source.dropped.items() if count}
            level = Level.ERROR if source.balance else Level.INFO
            message = f"{source.resulted} results of {source.captured} frames"
            self._log.write(Event("source_ledger", message, level, source.source_id, ledger_of(source) | dropped))
        message = f"{statistics.resulted} results in {statistics.elapsed_seconds:.1f} s"
        self._log.write(Event("run_ended", message, details={"resulted": statistics.resulted}))

    def _write(self, events: Iterable[Event]) -> None:
        for event in events:
            self._log.write(event)

    def __enter__(self) -> Self:
        self._log.write(self._opening)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._write(self._repeats.rest())
