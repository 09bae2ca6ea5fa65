"""Everything in the calling process: a reading thread a source, the graph's lanes, results from a generator."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self

from pipeline.config import STANDARD_INPUT_DESCRIPTOR, PipelineConfig, check_standard_input
from pipeline.engines.feed import Feed, OpenSource, take_fairly
from pipeline.engines.tally import Tally
from pipeline.errors import ConfigError, DeviceLost, EveryframeError, SinkError
from pipeline.graph import Completed, Graph, Lanes
from pipeline.messages import Batch, FrameResult, Gap, RunStatistics, SourceStatus, Surface
from pipeline.retry import Backoff
from pipeline.stage import Access, ComplainingSink, Sink

JOIN_SECONDS = 2.0

Overtaken = dict[str, list[tuple[int, int]]]  # by source: epoch and seq of frames lost before a batch's


class InlineEngine:
    """Runs a configuration in this process. `items` may be asked for once; leaving the context stops everything."""

    def __init__(
        self,
        config: PipelineConfig,
        *,
        open_source: OpenSource,
        build_graph: Callable[[PipelineConfig], Graph],
        build_sinks: Callable[[PipelineConfig], Sequence[Sink]],
    ) -> None:
        """The three callables are `pipeline.build`'s, or a test's.

        Raises:
            ConfigError: a setting is asked for that only the engine of workers knows.
        """
        check_standard_input(config.source_configs)
        _check_settings(config)
        self._config = config
        self._batch_size = config.frames_a_batch
        self._build_graph, self._build_sinks = build_graph, build_sinks
        self._changed = threading.Condition()
        self._feeds = [
            Feed(
                source,
                open_source=open_source,
                access=Access(files_root=config.files_root, standard_input=STANDARD_INPUT_DESCRIPTOR),
                changed=self._changed,
                capacity=config.batch.queue_frames,
                backoff=Backoff.of(config.supervisor),
            )
            for source in config.source_configs
        ]
        self._feed_of = {feed.source.source_id: feed for feed in self._feeds}
        self._tallies = {feed.source.source_id: Tally(feed.source.source_id) for feed in self._feeds}
        self._graph: Graph | None = None
        self._lanes: Lanes[Overtaken] | None = None
        self._sinks: list[Sink] = []
        self._failures: list[EveryframeError] = []
        self._warmed: list[str] = []
        self._started = self._ended = 0.0

    def items(self) -> Iterator[FrameResult | Gap]:
        """Results and gaps, each source's in order, until every source has ended. Raises the first error at the end."""
        self._graph = self._build_graph(self._config)
        self._graph.warm_up(self._warmed.append)
        self._sinks = list(self._build_sinks(self._config))
        lanes: Lanes[Overtaken] = Lanes(self._graph, notify=self._wake)
        self._lanes = lanes
        self._started = time.monotonic()
        for feed in self._feeds:
            feed.start()
        turn = 0
        while not self._finished(lanes):
            for done in lanes.completed():
                yield from self._deliver(done)
            turn += self._submit(lanes, start=turn)
        self._ended = time.monotonic()
        self._raise_first_error()

    def statistics(self) -> RunStatistics:
        """The run at this instant."""
        with self._changed:
            sources = tuple(self._status(feed) for feed in self._feeds)
        until = self._ended or time.monotonic()
        return RunStatistics(
            sources=sources,
            elapsed_seconds=until - self._started if self._started else 0.0,
            notes=(*self._graph.notes, *self._warmed) if self._graph else (),
            finished=bool(self._ended),
        )

    def stop(self) -> None:
        """Read no further; what was read still comes out of `items`, which then ends. Callable from any thread."""
        for feed in self._feeds:
            feed.stop()

    def close(self) -> None:
        """Stop reading, end the lanes, finish the files. Calling it twice does no harm."""
        self.stop()
        for feed in self._feeds:
            feed.join(JOIN_SECONDS)
        if self._lanes is not None:
            self._lanes.close()
        if self._graph is not None:
            self._graph.close()
        self._close_sinks()

    def _submit(self, lanes: Lanes[Overtaken], *, start: int) -> int:
        """The next batches into the lanes that are free, or a wait until one is ready; batches submitted."""
        with self._changed:
            self._changed.wait_for(lambda: lanes.ready or (lanes.free and self._any_waiting()) or self._finished(lanes))
            if not lanes.free or not (frames := take_fairly(self._feeds, self._batch_size, start=start)):
                return 0
            for frame in frames:
                self._tallies[frame.source_id].taken()
            overtaken = {feed.source.source_id: feed.take_overtaken() for feed in self._feeds}
            analysed = tuple(self._feed_of[frame.source_id].wants(frame) for frame in frames)
            lanes.submit(Batch(tuple(frames), analysed=None if all(analysed) else analysed), overtaken)
            self._changed.notify_all()
            return 1

    def _any_waiting(self) -> bool:
        return any(feed.waiting for feed in self._feeds)

    def _finished(self, lanes: Lanes[Overtaken]) -> bool:
        return lanes.in_flight == 0 and not self._any_waiting() and all(feed.finished for feed in self._feeds)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _deliver(self, done: Completed[Overtaken]) -> Iterator[FrameResult | Gap]:
        if isinstance(done.error, DeviceLost):
            raise done.error
        for source_id, frames in done.context.items():
            yield from self._declare(self._tallies[source_id].overtaken(frames))
        results = {result.identity: result for result in done.results}
        for frame in done.batch.frames:
            found = results.get((frame.source_id, frame.epoch, frame.seq))
            if found is None:
                assert done.error is not None, "a frame without a result, and no error"
                yield from self._declare(self._tallies[frame.source_id].lost(frame, done.error))
                continue
            gaps, result = self._tallies[frame.source_id].resulted(frame, found)
            yield from self._declare(gaps)
            self._write(result, frame.surface)
            yield result

    def _declare(self, gaps: Iterable[Gap]) -> Iterator[Gap]:
        for gap in gaps:
            self._write(gap, None)
            yield gap

    def _write(self, item: FrameResult | Gap, surface: Surface | None) -> None:
        """To every sink; one that fails is closed and told of at the end, and the others go on."""
        for sink in list(self._sinks):
            try:
                sink.write(item, surface if sink.needs_surface else None)
            except SinkError as exc:
                self._failures.append(exc)
                self._sinks.remove(sink)
                sink.close()

    def _close_sinks(self) -> None:
        """Close every one; then raise the first error of those that could not finish. Twice does no harm."""
        errors: list[SinkError] = []
        for sink in self._sinks:
            try:
                sink.close()
            except SinkError as exc:
                errors.append(exc)
            if isinstance(sink, ComplainingSink):
                errors += sink.complaints()
        if errors:
            raise errors[0]

    def _status(self, feed: Feed) -> SourceStatus:
        tally = self._tallies[feed.source.source_id]
        dropped = {"backlog": feed.overtaken, "inference_error": tally.errors}
        return SourceStatus(
            source_id=tally.source_id,
            state=str(feed.state),
            epoch=feed.epoch,
            message=str(feed.error) if feed.error else feed.complaint or tally.message,
            captured=feed.captured,
            resulted=tally.results,
            dropped={reason: count for reason, count in dropped.items() if count},
            in_flight=len(feed.waiting) + tally.in_lanes,
            undecoded=feed.undecoded,
            damaged=feed.damaged,
            reconnects=feed.reconnects,
            width=feed.info.width if feed.info else 0,
            height=feed.info.height if feed.info else 0,
            codec=feed.info.codec if feed.info else "",
            expected_frames=feed.info.frame_count if feed.info else None,
            latency=tally.latency(),
        )

    def _raise_first_error(self) -> None:
        for sink in self._sinks:
            if isinstance(sink, ComplainingSink):
                self._failures += sink.complaints()
        errors = [feed.error for feed in self._feeds if feed.failed and feed.error is not None] + self._failures
        if not errors:
            return
        for other in errors[1:]:
            errors[0].add_note(f"also: {other}")
        raise errors[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self.close()
        except SinkError as exc:
            if error is None:
                raise
            error.add_note(f"also: {exc}")


def _check_settings(config: PipelineConfig) -> None:
    """Refuse what this engine would not do. It takes what there is, and so keeps any `max_wait_ms`."""
    if config.batch.stale_ms:
        raise ConfigError(
            f"batch.stale_ms is {config.batch.stale_ms:g}; in one process no frame is given up as late, and 0 is "
            "needed (engine local knows others)"
        )
    for source in config.source_configs:
        if source.priority != 1:
            raise ConfigError(
                f"priority of {source.source_id} is {source.priority}; in one process sources take turns, and 1 is "
                "needed (engine local knows others)"
            )
