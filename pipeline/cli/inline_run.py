"""The inline engine behind the face of the local one: its iteration runs in a thread of this process."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from pipeline.build import Pipeline
from pipeline.config import PipelineConfig
from pipeline.errors import EveryframeError, SourceError
from pipeline.events import Event
from pipeline.messages import RunStatistics
from pipeline.states import SourceState
from pipeline.vitals import SourceVitals, Vitals
from pipeline.workers.messages import SinkCounts


class InlineRun:
    """Runs a pipeline to its end, or to `stop`. Nothing is published."""

    address = ""
    sink_counts = SinkCounts(taken={}, failed={})  # a sink that fails ends with the `SinkError` of the run

    def __init__(self, config: PipelineConfig) -> None:
        self._pipeline = Pipeline.from_config(config)
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)
        self._error: BaseException | None = None

    @property
    def errors(self) -> dict[str, EveryframeError]:
        """Sources that failed for good, once the run has ended."""
        if not isinstance(self._error, SourceError):
            return {}
        failed = (s for s in self.statistics().sources if s.message and not SourceState(s.state).is_final)
        return {source.source_id: SourceError(source.message) for source in failed}

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _run(self) -> None:
        try:
            for _ in self._pipeline.items():
                pass
        except BaseException as exc:  # noqa: BLE001 - carried over to whoever waits
            self._error = exc

    def statistics(self) -> RunStatistics:
        """The run at this instant."""
        return self._pipeline.statistics()

    def vitals(self) -> Vitals:
        """No supervisor and no workers: alive while its thread is."""
        return Vitals(supervising=self._thread.is_alive(), judged_seconds_ago=0.0, stopping=False, workers=())

    def source_vitals(self) -> tuple[SourceVitals, ...]:
        """Not kept."""
        return ()

    def events_since(self, seen: int) -> tuple[list[Event], int]:
        """Nothing happens but what the statistics tell."""
        return [], seen

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for the end, but not for longer; whether it has come. Raises what ended the whole run."""
        self._thread.join(timeout_seconds)
        if self._error is not None and not isinstance(self._error, SourceError):
            raise self._error
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Finish what is in work and end."""
        self._pipeline.stop()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._thread.is_alive():
            self.stop()
