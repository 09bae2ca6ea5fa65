"""How `everyframe run` speaks: to people, or to programs that read its log."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Protocol

from pipeline.cli.complain import complain, in_one_line, without_secrets
from pipeline.config import PipelineConfig
from pipeline.errors import EveryframeError
from pipeline.events import Event, Level
from pipeline.messages import RunStatistics

if TYPE_CHECKING:
    from pipeline.cli.display import Display
    from pipeline.cli.json_display import JsonDisplay

FORMATS: Final = ("text", "json")
LEVELS: Final = {level.name.lower(): level for level in Level}


class Told(Protocol):
    """What is asked of an engine to tell of it."""

    @property
    def address(self) -> str:
        """Where results are published; empty for nowhere."""


class Output(Protocol):
    """Everything the command says."""

    def keep_secret(self, addresses: Iterable[str]) -> None:
        """Addresses whose secrets are to stand nowhere."""

    def warning(self, text: str, *, event: str) -> None:
        """Something is not as it should be."""

    def failure(self, text: str, *, event: str) -> None:
        """Something has failed; the run went on as far as it could."""

    def ended_by(self, error: EveryframeError) -> int:
        """What ended the command: its exit code, or the error again for whoever tells it."""

    def display(self, config: PipelineConfig, engine: Told, api_address: str) -> Display:
        """What shows a run while it goes on."""

    def summary(self, config: PipelineConfig, statistics: RunStatistics) -> None:
        """What the run came to."""


class TextOutput:
    """For people: results on the output stream, what goes wrong on the error stream."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._level = LEVELS[arguments.log_level]
        self._quiet = arguments.quiet or self._level > Level.INFO
        self._addresses: list[str] = []

    def keep_secret(self, addresses: Iterable[str]) -> None:
        """Addresses whose secrets are to stand nowhere."""
        self._addresses += addresses

    def warning(self, text: str, *, event: str) -> None:
        """A line on the error stream."""
        if self._level <= Level.WARNING:
            complain(f"everyframe: warning: {text}", self._addresses)

    def failure(self, text: str, *, event: str) -> None:
        """A line on the error stream."""
        complain(f"everyframe: {text}", self._addresses)

    def ended_by(self, error: EveryframeError) -> int:
        """The command line tells of it, as of every error."""
        raise error

    def display(self, config: PipelineConfig, engine: Told, api_address: str) -> Display:
        """A table on a terminal, lines elsewhere."""
        from pipeline.cli.display import Silent, display_for

        if self._level > Level.WARNING:
            return Silent(warns=False)
        return display_for(config, engine.address, api_address=api_address, quiet=self._quiet)

    def summary(self, config: PipelineConfig, statistics: RunStatistics) -> None:
        """A table on the output stream."""
        from pipeline.cli.summary import print_summary

        if not self._quiet:
            print_summary(statistics, output=config.output)


class JsonOutput:
    """For programs: everything is an event on the error stream; the output stream stays empty."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        from pipeline.logs import JsonLog

        level = max(LEVELS[arguments.log_level], Level.WARNING if arguments.quiet else Level.DEBUG)
        self._addresses: list[str] = list(arguments.sources)
        self._log = JsonLog(sys.stderr, level=level, clean=self._without_secrets)
        self._debug = bool(arguments.debug)
        self._display: JsonDisplay | None = None

    def _without_secrets(self, text: str) -> str:
        for address in self._addresses:
            text = without_secrets(text, address)
        return text

    def keep_secret(self, addresses: Iterable[str]) -> None:
        """Addresses whose secrets are to stand nowhere."""
        self._addresses += addresses

    def warning(self, text: str, *, event: str) -> None:
        """An event of its own."""
        self._log.write(Event(event, text, Level.WARNING))

    def failure(self, text: str, *, event: str) -> None:
        """An event of its own."""
        self._log.write(Event(event, text, Level.ERROR))

    def ended_by(self, error: EveryframeError) -> int:
        """The last event; the exit code."""
        told = "".join(traceback.format_exception(error)) if self._debug else in_one_line(str(error))
        self._log.write(Event("run_failed", told, Level.ERROR, details={"error": type(error).__name__}))
        return error.exit_code

    def display(self, config: PipelineConfig, engine: Told, api_address: str) -> Display:
        """What changes, as events."""
        from pipeline.cli.display import sources_and_network
        from pipeline.cli.json_display import JsonDisplay

        details: dict[str, str | int | float] = {
            "sources": len(config.source_configs),
            "address": engine.address,
            "api": api_address,
        }
        started = Event("run_started", sources_and_network(config), details=details)
        self._display = JsonDisplay(self._log, started)
        return self._display

    def summary(self, config: PipelineConfig, statistics: RunStatistics) -> None:
        """The ledger of each source."""
        if self._display is not None:
            self._display.finish(statistics)


OUTPUTS: Final[dict[str, Callable[[argparse.Namespace], Output]]] = {"text": TextOutput, "json": JsonOutput}
