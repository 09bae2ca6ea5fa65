"""Run a configuration to its end, showing how it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from pipeline.cli.complain import about
from pipeline.cli.interrupts import Interrupts
from pipeline.cli.run_output import Output
from pipeline.config import PipelineConfig, is_recording
from pipeline.errors import EveryframeError, SinkError
from pipeline.events import Event, EventReader
from pipeline.messages import RunStatistics, SourceStatus
from pipeline.notify import Notifier

if TYPE_CHECKING:
    from pipeline.vitals import SourceVitals, Vitals
    from pipeline.workers.messages import SinkCounts

GLANCE_SECONDS: Final = 0.2


class Engine(Protocol):
    """What is asked of an engine here."""

    @property
    def address(self) -> str:
        """Where results are published; empty for nowhere."""

    @property
    def errors(self) -> Mapping[str, EveryframeError]:
        """Sources that failed for good so far, and why."""

    @property
    def sink_counts(self) -> SinkCounts:
        """What each sink took and failed to take, once the run has ended."""

    def start(self) -> None:
        """Begin. Raises an `EveryframeError` where that cannot be."""

    def statistics(self) -> RunStatistics:
        """The run at this instant."""

    def vitals(self) -> Vitals:
        """How its supervisor and workers are."""

    def source_vitals(self) -> Sequence[SourceVitals]:
        """What the statistics of each source sum up."""

    def events_since(self, seen: int) -> tuple[Sequence[Event], int]:
        """What happened after the first `seen` events, and what to say as `seen` the next time."""

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for the end, but not for longer; whether it has come. Raises the `EveryframeError` that ended it."""

    def stop(self) -> None:
        """Finish what is in work and end."""


def run_attended(
    config: PipelineConfig,
    output: Output,
    *,
    config_file: str | None,
    reread: Callable[[], PipelineConfig] | None,
    debug: bool,
) -> int:
    """Run as `run_engine` does, while 'everyframe source' and 'everyframe reload' may speak to it."""
    from pipeline.control.attendance import attended

    with attended(config, config_file=config_file, reread=reread) as attendance:
        for refused in attendance.left_out.values():
            output.warning(
                f"{refused}; it was added while {attendance.name!r} ran before, and is left out", event="source_refused"
            )
        if attendance.restored:
            output.keep_secret(source.url for source in attendance.config.source_configs)
            output.warning(
                f"{', '.join(attendance.restored)}: added while {attendance.name!r} ran before, and back;"
                " 'everyframe source remove NAME' forgets one",
                event="sources_restored",
            )
        return run_engine(attendance.config, output, debug=debug, started=attendance.serve)


def run_engine(
    config: PipelineConfig, output: Output, *, debug: bool, started: Callable[[Any], None] = lambda engine: None
) -> int:
    """Run a checked configuration; the exit code of the command. Raises what ended the whole run.

    `started` is called with the engine once it runs.
    """
    ended_by: EveryframeError | None = None
    words: dict[str, str] = {}  # the last message of each source; a camera that is tried again has none for a while
    # The notifier comes before the workers: what it takes out of the environment is not for them.
    with (
        Interrupts() as interrupts,
        Notifier.from_environment() as notifier,
        ENGINES[config.engine](config, debug) as engine,
    ):
        _start(engine, config)
        started(engine)
        events = EventReader(engine.events_since)
        with watched_over(config, engine, output) as api, output.display(config, engine, api) as display:
            try:
                while not interrupts.received and not engine.wait(GLANCE_SECONDS):
                    statistics = engine.statistics()
                    words |= {source.source_id: source.message for source in statistics.sources if source.message}
                    display.update(statistics, events.new())
                    notifier.tell(engine.vitals(), statistics)
            except EveryframeError as exc:
                ended_by = exc
            notifier.stopping()
            engine.stop()
            statistics = engine.statistics()
            display.update(statistics, events.new())
        if not (ended_by and not statistics.resulted):
            output.summary(config, statistics)
        if ended_by is not None:
            raise ended_by
        failures = failures_of(config, engine, statistics, words)
        for failure in failures:
            output.failure(failure, event="failed")
        return exit_code(config, failed=bool(failures), received=interrupts.received)


@contextmanager
def watched_over(config: PipelineConfig, engine: Engine, output: Output) -> Iterator[str]:
    """Answer /healthz, /readyz and /metrics where that is wanted; where, empty for nowhere. Raises `ConfigError`."""
    if config.api.bind is None:
        yield ""
        return
    from pipeline.api.routes import server_for

    with server_for(config.api.bind, config.api.token, engine) as server:
        if server.fault:
            output.warning(f"{server.fault}; the run goes on, and it is tried again", event="api_unavailable")
        yield server.address


def _start(engine: Engine, config: PipelineConfig) -> None:
    """Start, and where the address is taken tell the flag that chooses another."""
    try:
        engine.start()
    except SinkError as exc:
        if config.publish.bind is None or config.publish.bind not in str(exc):
            raise
        raise SinkError(f"{exc}: --publish tcp://127.0.0.1:0, or --publish none") from exc


def failures_of(
    config: PipelineConfig, engine: Engine, statistics: RunStatistics, words: Mapping[str, str]
) -> list[str]:
    """What failed, a line each: sources, outputs, files that were to lose nothing and did, and our own accounts."""
    lossless = {source.source_id for source in config.source_configs if source.lossless}
    failures = [about(source_id, str(error)) for source_id, error in engine.errors.items()]
    for source in statistics.sources:
        if source.captured == 0 and source.source_id in words and source.source_id not in engine.errors:
            failures.append(about(source.source_id, words[source.source_id]))  # a camera tried to the end, in vain
        if source.source_id in lossless and (lost := _dropped_here(source)):
            failures.append(f"{source.source_id}: {lost} frames of the file have no result; the summary says why")
        if source.balance:
            failures.append(f"{source.source_id}: {source.balance} frames are unaccounted for; please report this")
    for sink, by_source in engine.sink_counts.failed.items():
        if count := sum(by_source.values()):
            failures.append(f"{sink}: {count} items could not be written")
    return failures


def _dropped_here(source: SourceStatus) -> int:
    """Frames lost by what happened here, other than those that the end of the run cut off or the file had broken."""
    return sum(count for reason, count in source.dropped.items() if reason not in ("shutdown", "decode_error"))


def exit_code(config: PipelineConfig, *, failed: bool, received: int) -> int:
    """What the command says of a run that has ended, by `received`, the number of a signal, or 0: by itself.

    Ctrl-C is how a run of cameras or folders is meant to end, and cuts off one of files.
    """
    if failed:
        return 1
    cut_off = any(is_recording(source.url) for source in config.source_configs)
    return 128 + received if received and cut_off else 0


def _local(config: PipelineConfig, debug: bool) -> AbstractContextManager[Engine]:
    from pipeline.engines.local import LocalEngine

    return LocalEngine(config, debug=debug)


def _inline(config: PipelineConfig, debug: bool) -> AbstractContextManager[Engine]:
    from pipeline.cli.inline_run import InlineRun

    return InlineRun(config)


ENGINES: Final[dict[str, Callable[[PipelineConfig, bool], AbstractContextManager[Engine]]]] = {
    "auto": _local,
    "local": _local,
    "inline": _inline,
}
