"""Workers on one machine: a process a camera, one for vision, one that publishes, and a supervisor in this one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import zmq

from pipeline.address import is_live
from pipeline.config import PipelineConfig
from pipeline.errors import EveryframeError
from pipeline.ledger import Ledger
from pipeline.links.zeromq import ReceivingEnd, private_address
from pipeline.messages import FrameResult, Gap, RunStatistics
from pipeline.roster import Roster
from pipeline.status import status_of
from pipeline.supervisor import Supervisor
from pipeline.wire import decode_result
from pipeline.workers.builder import DEFAULT_BUILDER
from pipeline.workers.messages import Delivered, Finished, Lost, SinkCounts, decode_from_publisher
from pipeline.workers.outputs import DELIVERY_MESSAGES

KILL_SECONDS = 2.0  # for the kernel to end processes that were killed
POLL_SECONDS = 0.25


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
        """
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
        return dict(self._supervisor.source_errors)

    @property
    def complaints(self) -> tuple[str, ...]:
        """What went wrong and was outlived: workers replaced, sinks that took nothing; in order."""
        return tuple(self._supervisor.complaints)

    @property
    def sink_counts(self) -> SinkCounts:
        """How many items each sink took and failed to take, once the run has been stopped."""
        return self._supervisor.sink_counts

    @property
    def finished(self) -> bool:
        """Whether every source has ended or failed for good, and all its frames are settled."""
        done = all(cells.publisher.ended for cells in self._roster.shared.board.sources)
        if done and not self._finished_at:
            self._finished_at = time.monotonic()
        return done

    def statistics(self) -> RunStatistics:
        """The run at this instant; a few memory reads a source."""
        finished = self.finished
        now_ns = time.monotonic_ns()
        started = self._supervisor.vision_ready_at
        until = self._finished_at or now_ns / 1e9
        statuses = (
            status_of(source.source_id, cells, news=news, live=is_live(source.url), now_ns=now_ns)
            for source, cells, news in zip(
                self._roster.sources, self._roster.shared.board.sources, self._supervisor.news, strict=True
            )
        )
        return RunStatistics(
            sources=tuple(statuses),
            elapsed_seconds=max(0.0, until - started) if started else 0.0,
            notes=self._supervisor.notes,
            finished=finished,
        )

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
        ledger = Ledger()
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
                return
            yield from self._in_order(ledger, message, parts)

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
            self._supervisor.stop(at_once=again)
            self._thread.join(limit)
        finally:
            if self._thread.is_alive():
                self._supervisor.stop(at_once=True)
                self._thread.join(KILL_SECONDS)

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

    def _in_order(self, ledger: Ledger, message: Delivered | Lost, parts: list[bytes]) -> Iterator[FrameResult | Gap]:
        """Items as they came, with a gap for what was lost with a publisher; nothing twice."""
        source = ledger[self._roster.sources[message.source].source_id]
        if isinstance(message, Lost):
            yield from source.lost(message.epoch, message.first_seq, message.last_seq, message.reason)
            return
        settled = source.result(message.epoch, message.seq)
        if settled is not None:
            yield from settled.gaps
            yield decode_result(parts[1], gap_before=settled.gap_before)

    def _raise_failure(self) -> None:
        if self._supervisor.failure is not None:
            raise self._supervisor.failure
