"""What `everyframe run` shows while it runs: a live table on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console

from pipeline.cli.complain import complain
from pipeline.cli.live_table import LiveTable
from pipeline.cli.meter import Meter
from pipeline.cli.setbacks import Setbacks
from pipeline.config import NO_MODEL, PipelineConfig
from pipeline.events import Event
from pipeline.messages import RunStatistics, SourceStatus
from pipeline.states import SourceState

SPARSELY_SECONDS: Final = 10.0


class Display(Protocol):
    """Shows a run; a context, so that a terminal is left as it was."""

    def update(self, statistics: RunStatistics, events: Sequence[Event] = ()) -> None:
        """Show the run at a later instant, and what has happened since the last one."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None: ...


def display_for(config: PipelineConfig, address: str, *, quiet: bool, api_address: str = "") -> Display:
    """The display that suits where the output goes."""
    if quiet:
        return Silent()
    console = Console(highlight=False)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveTable(console, opening(config, address, api_address))
    return Lines(opening(config, address, api_address))


def opening(config: PipelineConfig, address: str, api_address: str = "") -> list[str]:
    """What is said first: what runs, on what, and the line to paste to subscribe."""
    lines = [sources_and_network(config)]
    if address:
        keys = " --server-key PUBLISHER.pub --key YOURS.key" if config.publish.key else ""
        lines.append(
            f"subscribe:  everyframe watch {address} --topic {config.source_configs[0].source_id}/tracks{keys}"
        )
    if api_address:
        lines.append(f"look after: curl {api_address}/readyz; figures: {api_address}/metrics")
    return lines


def sources_and_network(config: PipelineConfig) -> str:
    """What runs, on what."""
    model = config.detector_config.model
    network = "no model" if model == NO_MODEL else model
    if config.segmenter_config is not None:
        network += f" and {config.segmenter_config.model}"
    return f"{_listed([source.source_id for source in config.source_configs])} with {network}"


def _listed(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


class Silent:
    """Shows nothing but what goes wrong, or not even that."""

    def __init__(self, *, warns: bool = True) -> None:
        self._setbacks = Setbacks()
        self._warns = warns

    def update(self, statistics: RunStatistics, events: Sequence[Event] = ()) -> None:
        """Print what went wrong to the error stream."""
        self._warn(self._setbacks.told(events))

    def _warn(self, texts: Iterable[str]) -> None:
        for text in texts if self._warns else ():
            complain(f"everyframe: warning: {text}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._warn(self._setbacks.rest())


class Lines(Silent):
    """Plain lines: what auto chose, each change of state, and every few seconds how far it has come."""

    def __init__(self, opening: list[str], *, every_seconds: float = SPARSELY_SECONDS) -> None:
        super().__init__()
        self._opening = opening
        self._every_seconds = every_seconds
        self._meter = Meter()
        self._told_notes = 0
        self._told_at = 0.0
        self._states: dict[str, tuple[str, str]] = {}

    def __enter__(self) -> Self:
        for line in self._opening:
            _tell(line)
        return self

    def update(self, statistics: RunStatistics, events: Sequence[Event] = ()) -> None:
        """Print what is new since the last time."""
        super().update(statistics, events)
        self._meter.update(statistics)
        for note in statistics.notes[self._told_notes :]:
            _tell(note)
        self._told_notes = len(statistics.notes)
        for source in statistics.sources:
            told = self._states.get(source.source_id)
            trying_again = told is not None and source.state == SourceState.CONNECTING
            if told != (source.state, source.message) and not trying_again:  # a camera that is off is told of once
                self._states[source.source_id] = source.state, source.message
                _tell(f"{source.source_id}: {state_words(source)}")
        if statistics.elapsed_seconds - self._told_at >= self._every_seconds:
            self._told_at = statistics.elapsed_seconds
            for source in statistics.sources:
                if source.state == SourceState.STREAMING:
                    _tell(f"{source.source_id}: {_progress(source)}, {self._meter.rate(source.source_id):.1f} frames/s")


def _progress(source: SourceStatus) -> str:
    of = f" of {source.expected_frames}" if source.expected_frames else ""
    return f"{source.resulted}{of} frames"


def state_words(source: SourceStatus) -> str:
    """The state of a source and why it is in it."""
    told = source.state.lower().replace("_", " ")
    if source.message:
        told += f": {source.message.removeprefix(f'{source.source_id}: ')}"
    if source.retry_in_seconds is not None:
        told += f"; next try in {source.retry_in_seconds:.0f} s"
    return told


def _tell(text: str) -> None:
    print(text, file=sys.stdout, flush=True)
