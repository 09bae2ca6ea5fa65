"""An engine that does what a test says, for the command to run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from pipeline.errors import EveryframeError
from pipeline.events import Event, EventLog, Level
from pipeline.messages import Latency, RunStatistics, SourceStatus
from pipeline.vitals import SourceVitals, Vitals, WorkerVitals
from pipeline.workers.messages import SinkCounts


def status(source_id: str = "door", **changes: Any) -> SourceStatus:
    """A source that has had a hundred frames, all of them with results."""
    values: dict[str, Any] = {
        "source_id": source_id,
        "state": "STREAMING",
        "epoch": 1,
        "captured": 100,
        "resulted": 100,
        "width": 1280,
        "height": 720,
        "codec": "h264",
        "frame_rate": 25.0,
        "latency": Latency(p50_ms=10.0, p95_ms=21.5, p99_ms=30.0),
    }
    return SourceStatus(**(values | changes))


def statistics(*sources: SourceStatus, elapsed_seconds: float = 4.0, notes: tuple[str, ...] = ()) -> RunStatistics:
    """A run at one instant."""
    return RunStatistics(sources=sources, elapsed_seconds=elapsed_seconds, notes=notes)


def vitals(**changes: Any) -> Vitals:
    """A run that works: a supervisor, a vision worker and a publisher."""
    values: dict[str, Any] = {
        "supervising": True,
        "judged_seconds_ago": 0.1,
        "stopping": False,
        "workers": (
            WorkerVitals(role="vision", pid=1, phase="waiting", ready=True),
            WorkerVitals(role="publisher", pid=1, phase="waiting", ready=True),
        ),
    }
    return Vitals(**(values | changes))


class FakeEngine:
    """Goes through `instants`, one a look, and has then ended. `at_wait` is called at each look."""

    def __init__(
        self,
        *instants: RunStatistics,
        errors: dict[str, EveryframeError] | None = None,
        complaints: tuple[str, ...] = (),
        failed_sinks: dict[str, dict[str, int]] | None = None,
        at_start: EveryframeError | None = None,
        at_end: EveryframeError | None = None,
        address: str = "tcp://127.0.0.1:5560",
        at_wait: Callable[[int], None] = lambda look: None,
        endless: bool = False,
    ) -> None:
        self.address = address
        self.errors = errors or {}
        self.sink_counts = SinkCounts(taken={}, failed=failed_sinks or {})
        self.stopped = self.left = False
        self.looks = 0
        self.vital = vitals()
        self.source_vital: tuple[SourceVitals, ...] = ()
        self.events = EventLog()
        for complaint in complaints:
            self.events.add(Event("complaint", complaint, Level.WARNING))
        self._instants = instants
        self._at_start, self._at_end, self._at_wait = at_start, at_end, at_wait
        self._endless = endless

    def start(self) -> None:
        if self._at_start is not None:
            raise self._at_start

    def wait(self, timeout_seconds: float) -> bool:
        assert timeout_seconds > 0
        self._at_wait(self.looks)
        self.looks += 1
        if self.looks < len(self._instants) or self._endless:
            return False
        if self._at_end is not None:
            raise self._at_end
        return True

    def statistics(self) -> RunStatistics:
        return self._instants[min(max(0, self.looks - 1), len(self._instants) - 1)]

    def vitals(self) -> Vitals:
        return self.vital

    def source_vitals(self) -> tuple[SourceVitals, ...]:
        return self.source_vital

    def events_since(self, seen: int) -> tuple[list[Event], int]:
        return self.events.since(seen)

    def stop(self) -> None:
        self.stopped = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.left = True
