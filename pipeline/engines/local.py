"""Workers on one machine: a process a camera, one a device, one that publishes, and a supervisor in this one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

import zmq

from pipeline.config import PipelineConfig, SourceConfig, check_added, check_source, check_standard_input, named_sources
from pipeline.engines.arrivals import Arrivals
from pipeline.errors import EveryframeError
from pipeline.events import Event
from pipeline.links.zeromq import ReceivingEnd, private_address
from pipeline.messages import FrameResult, Gap, RunStatistics
from pipeline.roster import Roster
from pipeline.supervisor import Supervisor
from pipeline.vitals import SourceVitals, Vitals, source_vitals_of, worker_vitals_of
from pipeline.workers.builder import DEFAULT_BUILDER
from pipeline.workers.messages import Finished, SinkCounts, decode_from_publisher
from pipeline.workers.outputs import DELIVERY_MESSAGES

KILL_SECONDS = 2.0  # for the kernel to end processes that were killed
POLL_SECONDS = 0.25
ANSWER_SECONDS = 30.0  # of the supervisor, which waits for nobody; a starved machine may


class LocalEngine:
    """Runs a configuration in worker processes. A context manager; leaving it stops everything.

    ::

        with LocalEngine(check(config)) as engine:
            engine.start()
            while not engine.wait(0.1):
                show(engine.statistics())
    """

    def __init__(
        self,
        config: PipelineConfig,
        *,
        deliver: bool = False,
        builder: str = DEFAULT_BUILDER,
        debug: bool = False,
    ) -> None:
        """Prepare a run of a checked configuration.

        Args:
            config: as `pipeline.config.check` returns it.
            deliver: `results` gives every result to this program, which holds the run back if it is slow.
            builder: the module that makes readers, graphs and sinks in the workers.
            debug: workers write to our standard error, and tracebacks are kept.

        Raises:
            ConfigError: epochs cannot be kept where the configuration says.
            UsageError: standard input is to be read, and is a terminal or closed.
        """
        check_standard_input(config.source_configs)
        self._config = config
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        address = private_address("delivery") if deliver else ""
        self._delivery = ReceivingEnd(self._context, address, capacity=DELIVERY_MESSAGES) if deliver else None
        self._roster = Roster(config, builder=builder, delivery=address, debug=debug)
        self._supervisor = Supervisor(self._roster)
        self._thread = threading.Thread(target=self._supervisor.run, name="everyframe-supervisor", daemon=True)
        self._finished_at = 0.0
        self._closed = False

    def start(self) -> None:
        """Start the workers; returns when results can be subscribed to. Loading the network goes on after that.

        Raises:
            EveryframeError: a worker could not start: the address is taken, a file cannot be written, ...
        """
        self._thread.start()
        self._supervisor.publishing.wait()
        self._raise_failure()

    @property
    def address(self) -> str:
        """Where results are published; empty for nowhere."""
        return self._supervisor.address

    @property
    def errors(self) -> dict[str, EveryframeError]:
        """Sources that have failed for good, and why."""
        members = list(self._roster.members.values())
        return {member.source.source_id: member.error for member in members if member.error is not None}

    @property
    def complaints(self) -> tuple[str, ...]:
        """What went wrong and was outlived: workers replaced, sinks that took nothing; in order."""
        return tuple(self._supervisor.complaints)

    @property
    def sink_counts(self) -> SinkCounts:
        """How many items each sink took and failed to take, a second ago, or to the end of a run that was stopped."""
        return self._supervisor.sink_counts

    @property
    def finished(self) -> bool:
        """Whether every source has ended or failed for good, and all its frames are settled; without sources, no."""
        staying = [member for member in list(self._roster.members.values()) if not member.leaving]
        done = bool(staying) and all(member.cells.publisher.ended for member in staying)
        self._finished_at = (self._finished_at or time.monotonic()) if done else 0.0
        return done

    def statistics(self) -> RunStatistics:
        """The run at this instant; a few memory reads a source."""
        finished = self.finished
        now_ns = time.monotonic_ns()
        started = self._supervisor.vision_ready_at
        until = self._finished_at or now_ns / 1e9
        members = [member for member in list(self._roster.members.values()) if not member.withdrawn]
        statuses = [(member.number, member.status(now_ns=now_ns)) for member in members]
        return RunStatistics(
            # A place is only taken by another source after the one before is no member any more.
            sources=tuple(status for number, status in statuses if number in self._roster.members),
            elapsed_seconds=max(0.0, until - started) if started else 0.0,
            notes=self._supervisor.notes,
            finished=finished,
        )

    def devices(self) -> dict[str, str]:
        """The device each source is on, by its name; nothing where there is one for all."""
        members = list(self._roster.members.values())
        return {member.source.source_id: member.vision.label for member in members if member.vision.label}

    def vitals(self) -> Vitals:
        """The supervisor and its workers at this instant; asks none of them."""
        supervisor = self._supervisor
        return Vitals(
            supervising=self._thread.is_alive(),
            judged_seconds_ago=time.monotonic() - supervisor.judged_at if supervisor.judged_at else 0.0,
            stopping=supervisor.is_stopping,
            workers=tuple(worker_vitals_of(seat, self._roster.source_id(seat)) for seat in self._roster.seats),
        )

    def source_vitals(self) -> tuple[SourceVitals, ...]:
        """What the statistics of each source sum up."""
        now_ns = time.monotonic_ns()
        return tuple(
            source_vitals_of(source_id, cells, now_ns=now_ns) for source_id, cells in self._roster.cells_by_source()
        )

    def events_since(self, seen: int) -> tuple[list[Event], int]:
        """What happened after the first `seen` events of the run, and what to say as `seen` the next time."""
        return self._supervisor.events.since(seen)

    @property
    def sources(self) -> list[SourceConfig]:
        """The sources that take part, those that are leaving not among them."""
        return [member.source for member in list(self._roster.members.values()) if not member.leaving]

    def add_source(self, source: str | SourceConfig) -> str:
        """Let another source take part: ``url``, ``name=url`` or settings. Returns its name, derived if none is given.

        It is connected to after this returns; `statistics` tells how that goes. Where a source of the same name is
        just being removed, it comes as soon as that one is gone.

        Raises:
            AddressError, ConfigError: the address or the name is not allowed, or a file lies outside `files_root`.
            UsageError: the name is taken, or `supervisor.max_sources` take part already.
            EveryframeError: the engine does not run.
        """
        (named,) = named_sources([source])
        check_added(named)
        check_source(named, files_root=self._config.files_root)
        self._do(lambda: self._supervisor.membership.add(named))
        return named.source_id

    def remove_source(self, source_id: str) -> None:
        """Have a source end. What it gave is accounted for; then its last status is `REMOVED`, once, and it is gone.

        Returns before that. Raises `UsageError` where there is no such source, `EveryframeError` where nothing runs.
        """
        self._do(lambda: self._supervisor.membership.remove(source_id))

    def pause_source(self, source_id: str) -> None:
        """Have a source give no frames until `resume_source`: a camera is disconnected from, a recording stays open.

        No gap tells of the time between: nothing was captured in it. Raises as `remove_source` does, and `UsageError`
        for a source that has ended.
        """
        self._do(lambda: self._supervisor.membership.pause(source_id))

    def resume_source(self, source_id: str) -> None:
        """Have a paused source go on, a camera in a new epoch. Raises as `pause_source`, or where it is not paused."""
        self._do(lambda: self._supervisor.membership.resume(source_id))

    def _do(self, errand: Callable[[], None]) -> None:
        if self._thread.ident is None:
            raise EveryframeError("the pipeline has not been started")
        if self._closed:
            raise EveryframeError("the pipeline has stopped")
        try:
            self._supervisor.errands.ask(errand).result(ANSWER_SECONDS)
        except TimeoutError:
            raise EveryframeError(f"the supervisor did not answer within {ANSWER_SECONDS:.0f} s") from None

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for the run to finish or fail; whether it has. Raises the `EveryframeError` that ended it."""
        until = time.monotonic() + timeout_seconds
        while not self.finished and not self._supervisor.ended.is_set():
            self._raise_failure()
            left = until - time.monotonic()
            if left <= 0:
                return False
            self._supervisor.ended.wait(min(left, 0.05))
        self._raise_failure()
        return True

    def results(self) -> Iterator[FrameResult | Gap]:
        """Every result and gap, each source's in order, until all sources have ended or the engine is stopped.

        Raises the `EveryframeError` that ended the run. Needs `deliver=True`.
        """
        if self._delivery is None:
            raise ValueError("LocalEngine.results needs deliver=True; it was made without")
        arrivals = Arrivals()
        while True:
            if not self._delivery.waitable.poll(round(POLL_SECONDS * 1000)):
                self._raise_failure()
                if self._supervisor.ended.is_set():
                    return
                continue
            parts = self._delivery.receive()
            if parts is None:
                continue
            message = decode_from_publisher(parts[0])
            if isinstance(message, Finished):
                if self.finished:
                    return
                continue  # another source has been added since
            yield from arrivals.items(message, parts[-1])

    def stop(self) -> None:
        """End the run within the configured time: what is in flight is finished, files are closed.

        An interrupt while it waits, or a second call, ends everything at once.
        """
        if self._thread.ident is None:
            return
        again = self._closed
        self._closed = True
        limit = self._config.supervisor.stop_seconds + KILL_SECONDS
        try:
            # Not a join: one that is interrupted takes the thread for ended (bpo-45274).
            self._supervisor.stop(at_once=again)
            self._supervisor.ended.wait(limit)
        finally:
            if not self._supervisor.ended.is_set():
                self._supervisor.stop(at_once=True)
                self._supervisor.ended.wait(KILL_SECONDS)

    def close(self) -> None:
        """Stop, and release everything. Calling it twice does no harm."""
        if not self._closed:
            self.stop()
        if self._delivery is not None:
            self._delivery.close()
        self._context.term()
        self._roster.shared.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _raise_failure(self) -> None:
        if self._supervisor.failure is not None:
            raise self._supervisor.failure
