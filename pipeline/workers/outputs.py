"""Where the publisher puts things: the socket, the sinks, and the program that reads along."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from pipeline.errors import SinkError
from pipeline.links.link import Link
from pipeline.messages import FrameResult, Gap, SourceStatus, Surface
from pipeline.stage import Sink
from pipeline.wire import decode_result
from pipeline.workers.builder import ResultPublisher
from pipeline.workers.messages import Delivered, Finished, SinkCounts, encode, message_of

DELIVERY_MESSAGES = 16  # on their way to the program before it holds the publisher back
MOST_HELD_AT_STOP = 10_000


class Delivery:
    """Results on their way to the program that started the engine; it gets every one, in its own time."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._waiting: deque[list[bytes]] = deque(maxlen=MOST_HELD_AT_STOP)

    @property
    def link(self) -> Link:
        """To wait on for room."""
        return self._link

    @property
    def blocked(self) -> bool:
        """Whether the program has not taken all there is."""
        return bool(self._waiting)

    def put(self, parts: list[bytes]) -> None:
        """Send in turn."""
        self._waiting.append(parts)
        self.send()

    def send(self) -> None:
        """Send what waits, as far as there is room."""
        while self._waiting and self._link.send(self._waiting[0]):
            self._waiting.popleft()

    def close(self, flush_seconds: float) -> None:
        """Give what was sent up to so long to leave."""
        self.send()
        self._link.close(flush_seconds=flush_seconds)


class SinkAccount:
    """A sink with its own ledger: a sink that fails costs itself, and nobody else."""

    def __init__(self, sink: Sink, complain: Callable[[str, SinkError], None]) -> None:
        self.sink = sink
        self.taken: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self._complain = complain

    def write(self, item: FrameResult | Gap | SourceStatus, surface: Surface | None = None) -> None:
        """Hand an item on, and count how that went."""
        try:
            if self.sink.needs_surface and surface is None and isinstance(item, FrameResult):
                raise SinkError(f"{self.sink.name}: the picture of {item.source_id}/{item.epoch}/{item.seq} is gone")
            self.sink.write(item, surface)
        except SinkError as exc:
            if not self.failed:
                self._complain(self.sink.name, exc)
            self.failed[item.source_id] += 1
        else:
            self.taken[item.source_id] += not isinstance(item, SourceStatus)

    def close(self) -> None:
        """Finish the sink's files."""
        try:
            self.sink.close()
        except SinkError as exc:
            self._complain(self.sink.name, exc)


class Outputs:
    """All of them."""

    def __init__(
        self,
        *,
        publisher: ResultPublisher | None,
        sinks: Sequence[Sink],
        delivery: Delivery | None,
        source_ids: Sequence[str],
        complain: Callable[[str, SinkError], None],
    ) -> None:
        self._publisher, self._delivery = publisher, delivery
        self._sinks = [SinkAccount(sink, complain) for sink in sinks]
        self._index = {source_id: i for i, source_id in enumerate(source_ids)}

    @property
    def draws(self) -> bool:
        """Whether some sink needs pictures."""
        return any(account.sink.needs_surface for account in self._sinks)

    def gap(self, gap: Gap) -> None:
        """Declare frames lost."""
        if self._publisher is not None:
            self._publisher.publish_gap(gap)
        for account in self._sinks:
            account.write(gap)
        if self._delivery is not None:
            self._delivery.put([encode(message_of(gap, self._index[gap.source_id]))])

    def publish(self, source_id: str, payload: bytes, *, gap_before: int) -> None:
        """Hand a result to the socket."""
        if self._publisher is not None:
            self._publisher.publish_result(source_id, payload, gap_before=gap_before)

    def write(self, payload: bytes, surface: Surface | None, *, gap_before: int, latency_ms: float) -> None:
        """Hand a result to the sinks; it is only decoded if there are any."""
        if self._sinks:
            result = with_latency(decode_result(payload, gap_before=gap_before), latency_ms)
            for account in self._sinks:
                account.write(result, surface if account.sink.needs_surface else None)

    def deliver(self, message: Delivered, payload: bytes) -> None:
        """Hand a result to the program that reads along."""
        if self._delivery is not None:
            self._delivery.put([encode(message), payload])

    def status(self, status: SourceStatus) -> None:
        """Tell how a source does."""
        if self._publisher is not None:
            self._publisher.publish_status(status)
        for account in self._sinks:
            account.write(status)

    def finish(self) -> None:
        """Every source has ended."""
        if self._delivery is not None:
            self._delivery.put([encode(Finished())])

    def counts(self) -> SinkCounts:
        """The sinks' ledgers."""
        return SinkCounts(
            taken={account.sink.name: dict(account.taken) for account in self._sinks},
            failed={account.sink.name: dict(account.failed) for account in self._sinks},
        )

    def close(self, flush_seconds: float) -> None:
        """Finish files, and let what was sent leave."""
        for account in self._sinks:
            account.close()
        if self._delivery is not None:
            self._delivery.close(flush_seconds)
        if self._publisher is not None:
            self._publisher.close()


def with_latency(result: FrameResult, latency_ms: float) -> FrameResult:
    """The result with the latency its timings lack."""
    if result.timings is None:
        return result
    return replace(result, timings=replace(result.timings, latency_ms=latency_ms))
