"""Where the publisher puts things: the socket, the sinks, and the program that reads along."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from pipeline.errors import SinkError
from pipeline.links.link import Link
from pipeline.messages import Frame, FrameResult, Gap, SourceStatus, Surface, ZoneEvent
from pipeline.stage import CodedSink, ComplainingSink, DeferredSink, Place, Sink
from pipeline.wire import decode_result, select_kind
from pipeline.workers.builder import ResultPublisher, Watch
from pipeline.workers.deferred import DeferredAccount, counts_of
from pipeline.workers.messages import Declared, Delivered, Finished, Over, SinkCounts, encode

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
        self._refused: Counter[str] = Counter()
        self._complain = complain

    @property
    def failed(self) -> dict[str, int]:
        """What it did not take, and what it took and gave up, by source."""
        given_up = self.sink.progress().lost if isinstance(self.sink, DeferredSink) else {}
        return dict(self._refused + Counter(given_up))

    def write(self, item: FrameResult | Gap | SourceStatus, surface: Surface | None = None) -> None:
        """Hand an item on, and count how that went."""
        try:
            if self.sink.needs_surface and surface is None and isinstance(item, FrameResult):
                raise SinkError(f"{self.sink.name}: the picture of {item.source_id}/{item.epoch}/{item.seq} is gone")
            self.sink.write(item, surface)
        except SinkError as exc:
            if not self._refused:
                self._complain(self.sink.name, exc)
            self._refused[item.source_id] += 1
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
        complain: Callable[[str, SinkError], None],
        zones: Watch | None = None,
    ) -> None:
        """`zones` tells of lines and zones, for subscribers; without it nothing of the kind is looked at."""
        self._publisher, self._delivery, self._complain = publisher, delivery, complain
        self._zones = zones if publisher is not None else None
        self._sinks = [SinkAccount(sink, complain) for sink in sinks if not isinstance(sink, CodedSink)]
        self._deferred = [DeferredAccount(sink) for sink in sinks if isinstance(sink, CodedSink)]
        self._in_their_own_time = [sink for sink in sinks if isinstance(sink, DeferredSink)]
        self._complaining = [sink for sink in sinks if isinstance(sink, ComplainingSink)]

    @property
    def draws(self) -> bool:
        """Whether some sink needs pictures."""
        return any(account.sink.needs_surface for account in self._sinks)

    @property
    def has_sinks(self) -> bool:
        """Whether results go anywhere but out of the socket."""
        return bool(self._sinks or self._deferred)

    @property
    def refused(self) -> int:
        """Connections to the socket so far that were not let in."""
        return 0 if self._publisher is None else self._publisher.refused

    def gap(self, gap: Gap) -> None:
        """Declare frames lost."""
        place = None
        if self._publisher is not None:
            place = Place(self._publisher.session, self._publisher.publish_gap(gap))
        for deferred in self._deferred:
            deferred.gap(gap, place)
        for account in self._sinks:
            account.write(gap)
        if self._delivery is not None:
            lost = Declared(gap.source_id, gap.epoch, gap.first_seq, gap.last_seq, gap.reason)
            self._delivery.put([encode(lost)])

    def publish(self, source_id: str, epoch: int, seq: int, payload: bytes, *, gap_before: int) -> None:
        """Hand a result to the socket, and to sinks that take it as it is coded."""
        place = None
        if self._publisher is not None:
            number = self._publisher.publish_result(source_id, payload, gap_before=gap_before)
            place = Place(self._publisher.session, number)
            if self._zones is not None:
                tracks = decode_result(select_kind(payload, "tracks"), gap_before=gap_before)
                self._happened(self._zones.take(tracks))
        for deferred in self._deferred:
            deferred.result(source_id, epoch, seq, payload, gap_before=gap_before, place=place)

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

    def over(self, message: Over) -> None:
        """Tell who reads along how many frames an epoch had: what has not come there by now was lost."""
        for deferred in self._deferred:
            deferred.sink.over(message.source_id, message.epoch, message.captured)
        if self._delivery is not None:
            self._delivery.put([encode(message)])

    def wants_picture(self, source_id: str) -> bool:
        """Whether a sink or a subscriber is to get this source's next picture."""
        return self.draws or (self._publisher is not None and self._publisher.wants_picture(source_id))

    def show(self, frame: Frame) -> None:
        """Hand a frame's picture to the socket, if a subscriber is to get it."""
        if self._publisher is not None and self._publisher.wants_picture(frame.source_id):
            try:
                self._publisher.publish_picture(frame)
            except SinkError as exc:
                self._complain("pictures", exc)

    def status(self, status: SourceStatus) -> None:
        """Tell how a source does."""
        if self._zones is not None:
            self._happened(self._zones.take(status))
        if self._publisher is not None:
            self._publisher.publish_status(status)
        for account in self._sinks:
            account.write(status)
        for deferred in self._deferred:
            deferred.sink.write(status, None)

    def complaints(self) -> Iterator[tuple[str, SinkError]]:
        """What the socket, and sinks beside what they did not take, have to tell people, and about what."""
        if self._publisher is not None:
            yield from (("publish", SinkError(text)) for text in self._publisher.complaints())
        if self._zones is not None:
            yield from (("zones", SinkError(text)) for text in self._zones.complaints())
        for sink in self._complaining:
            yield from ((sink.name, error) for error in sink.complaints())

    def finish(self) -> None:
        """Every source has ended."""
        if self._delivery is not None:
            self._delivery.put([encode(Finished())])

    def counts(self) -> SinkCounts:
        """The sinks' ledgers."""
        accounts: list[SinkAccount | DeferredAccount] = [*self._sinks, *self._deferred]
        return SinkCounts(
            taken={account.sink.name: dict(account.taken) for account in accounts},
            failed={account.sink.name: dict(account.failed) for account in accounts},
            deferred={sink.name: counts_of(sink) for sink in self._in_their_own_time},
            refused=self.refused,
        )

    def close(self, flush_seconds: float) -> None:
        """Finish files, and let what was sent leave."""
        for account in self._sinks:
            account.close()
        for deferred in self._deferred:
            deferred.sink.close()
        if self._delivery is not None:
            self._delivery.close(flush_seconds)
        if self._zones is not None:
            self._happened(self._zones.end_all())
        if self._publisher is not None:
            self._publisher.close()

    def _happened(self, events: Iterable[ZoneEvent]) -> None:
        if self._publisher is not None:
            for event in events:
                self._publisher.publish_event(event)


def with_latency(result: FrameResult, latency_ms: float) -> FrameResult:
    """The result with the latency its timings lack."""
    if result.timings is None:
        return result
    return replace(result, timings=replace(result.timings, latency_ms=latency_ms))
