"""What the API reads of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pipeline.messages import RunStatistics
from pipeline.vitals import SourceVitals, Vitals
from pipeline.workers.messages import SinkCounts


class Watched(Protocol):
    """A run whose state can be read at any time, from any thread, without asking a worker."""

    @property
    def sink_counts(self) -> SinkCounts:
        """How many items each sink took and failed to take, a second ago."""

    def statistics(self) -> RunStatistics:
        """How its sources do."""

    def source_vitals(self) -> Sequence[SourceVitals]:
        """What their statuses sum up."""

    def vitals(self) -> Vitals:
        """How the supervisor and its workers are."""
