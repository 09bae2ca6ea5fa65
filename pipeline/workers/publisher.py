"""The publisher: the one place where a frame's fate is decided.

It orders results, declares gaps, writes the ledger before it sends, and keeps fenced-off frames out. It needs neither
a network nor a decoder.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterable
from typing import Any

import msgspec
import zmq

from pipeline.address import is_live
from pipeline.board import Phase
from pipeline.errors import LinkError, SinkError
from pipeline.latency import record
from pipeline.links.zeromq import ReceivingEnd, SendingEnd
from pipeline.messages import Surface
from pipeline.status import News, status_of
from pipeline.workers.bench import Bench
from pipeline.workers.builder import load_builder
from pipeline.workers.control import SupervisorGone
from pipeline.workers.messages import (
    Abandoned,
    Analysed,
    Complaint,
    Delivered,
    Descriptor,
    Ended,
    FromVision,
    Lost,
    Ready,
    SourceNews,
    Stop,
    decode_from_vision,
)
from pipeline.workers.outputs import DELIVERY_MESSAGES, Delivery, Outputs
from pipeline.workers.stream import Due, Stream

LINK_MESSAGES = 32
AT_ONCE = 64  # messages taken before orders and statuses have their turn
STATUS_SECONDS = 1.0
WAIT_DEADLINE_SECONDS = 5.0
QUIET_SECONDS = 0.3  # when nothing has come for so long, what a dead worker sent has arrived
FLUSH_SECONDS = 0.5


def run(bench: Bench) -> None:
    """Be the publisher."""
    worker = PublisherWorker(bench)
    gc.freeze()
    bench.control.report(Ready(address=worker.address))
    worker.run()


class PublisherWorker:
    """The loop, with everything it holds."""

    def __init__(self, bench: Bench) -> None:
        spec = bench.spec
        builder = load_builder(spec.builder)
        self._control, self._liveness, self._rings = bench.control, bench.liveness, bench.rings
        self._sources, self._cells = bench.sources, bench.board.sources
        self._pace = bench.pace()
        self._streams = [
            Stream(source.source_id, cells) for source, cells in zip(self._sources, self._cells, strict=True)
        ]
        self._live = [is_live(source.url) for source in self._sources]
        self._news = [News()] * len(self._sources)
        self._publisher = builder.build_publisher(msgspec.structs.replace(spec.config.publish, bind=spec.bind))
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._delivery = None
        if spec.delivery:
            self._delivery = Delivery(SendingEnd(self._context, spec.delivery, capacity=DELIVERY_MESSAGES))
        self._outputs = Outputs(
            publisher=self._publisher,
            sinks=builder.build_sinks(spec.config),
            delivery=self._delivery,
            source_ids=[source.source_id for source in self._sources],
            complain=self._complain,
        )
        self._inlet = ReceivingEnd(self._context, spec.inlet, capacity=LINK_MESSAGES)
        self._poller = self._poller_of(self._inlet.waitable, zmq.POLLIN)
        if self._delivery is not None:
            self._poller_while_blocked = self._poller_of(self._delivery.link.waitable, zmq.POLLOUT)
        self._busy_at = time.monotonic()
        self._status_at = 0.0
        self._draining = self._finished = False

    @property
    def address(self) -> str:
        """Where it publishes; empty for nowhere."""
        return self._publisher.address if self._publisher is not None else ""

    def run(self) -> None:
        """Work until told to stop and nothing is left, then finish the files; those also if the supervisor is gone."""
        try:
            self._work()
            self._close()
        except SupervisorGone:
            self._outputs.close(FLUSH_SECONDS)
            raise

    def _work(self) -> None:
        for index, stream in enumerate(self._streams):
            self._emit(index, stream.resume())
        while not (self._draining and self._is_done()):
            self._liveness.stamp(Phase.WAITING, WAIT_DEADLINE_SECONDS)
            if self._control.fileno() in self._poll():
                self._obey()
            self._receive()
            self._close_abandoned()
            self._tell()

    def _poll(self) -> set[object]:
        """Sleep until something happens or is due; what is ready."""
        poller = self._poller
        if not self._may_receive() and self._delivery is not None:
            poller = self._poller_while_blocked
        wait = self._status_at + STATUS_SECONDS - time.monotonic()
        if self._draining or any(stream.is_abandoned for stream in self._streams):
            wait = min(wait, QUIET_SECONDS / 10)
        ready: set[object] = {waited for waited, _ in poller.poll(max(0, math.ceil(wait * 1000)))}
        if self._publisher is not None and self._publisher.socket in ready:
            self._publisher.poll()
        if self._delivery is not None:
            self._delivery.send()
        return ready

    def _poller_of(self, waitable: Any, event: int) -> zmq.Poller:
        """A poller of what is always waited for, and this."""
        poller = zmq.Poller()
        poller.register(self._control.fileno(), zmq.POLLIN)
        if self._publisher is not None:
            poller.register(self._publisher.socket, zmq.POLLIN)
        poller.register(waitable, event)
        return poller

    def _may_receive(self) -> bool:
        # A program that reads slowly holds everything back, down to the file; one that stops reads no more.
        return self._draining or self._delivery is None or not self._delivery.blocked

    def _obey(self) -> None:
        for order in self._control.orders():
            if isinstance(order, Stop):
                self._draining = True
                self._busy_at = time.monotonic()
            elif isinstance(order, SourceNews):
                self._hear(order)
            elif isinstance(order, Abandoned):
                self._streams[order.source].abandon(order)
                self._busy_at = time.monotonic()

    def _hear(self, news: SourceNews) -> None:
        known = self._news[news.source]
        self._news[news.source] = News(message=news.message, codec=news.codec or known.codec)
        self._streams[news.source].news(final=news.final)
        self._tell_of(news.source)

    def _receive(self) -> None:
        for _ in range(AT_ONCE):
            parts = self._inlet.receive() if self._may_receive() else None
            if parts is None:
                return
            self._busy_at = time.monotonic()
            try:
                messages = decode_from_vision(parts[0])
            except msgspec.DecodeError:
                continue  # only processes of ours get through to here; an ended one may have sent half a message
            payloads = iter(parts[1:])
            self._liveness.stamp(Phase.WORKING, self._pace.allowed_seconds * len(messages))
            started = time.monotonic()
            for message in messages:
                self._take(message, next(payloads, b"") if isinstance(message, Analysed) else b"")
            self._pace.took((time.monotonic() - started) / len(messages))

    def _take(self, message: FromVision, payload: bytes) -> None:
        stream = self._streams[message.source]
        for due in stream.before(message.epoch):
            self._emit(message.source, due)
        if isinstance(message, Lost):
            self._emit(message.source, stream.lost(message))
        elif isinstance(message, Ended):
            self._emit(message.source, stream.end(message))
        else:
            due_result = stream.result(message)
            if due_result is not None:
                self._emit(message.source, due_result, message, payload)
            if message.picture is not None:
                self._rings[message.source].release(message.picture.taken)

    def _emit(self, source: int, due: Due, message: Analysed | None = None, payload: bytes = b"") -> None:
        for gap in due.gaps:
            self._outputs.gap(gap)
        if message is not None:
            self._publish(source, due.gap_before, message, payload)
        self._streams[source].sent()

    def _publish(self, source: int, gap_before: int, message: Analysed, payload: bytes) -> None:
        self._outputs.publish(self._sources[source].source_id, payload, gap_before=gap_before)
        latency_ms = (time.monotonic_ns() - message.arrival_ns) / 1e6
        record(self._cells[source].latency.words, latency_ms)
        surface = self._surface(message.picture)
        self._outputs.write(payload, surface, gap_before=gap_before, latency_ms=latency_ms)
        self._outputs.deliver(Delivered(source, message.epoch, message.seq, gap_before), payload)

    def _surface(self, picture: Descriptor | None) -> Surface | None:
        """The picture to draw on; None where nobody draws, or the slot was taken back."""
        if picture is None or not self._outputs.draws:
            return None
        ring = self._rings[picture.source]
        if not ring.is_current(picture.taken):
            return None
        try:
            return ring.surface(
                picture.taken,
                pixel_format=picture.pixel_format,
                width=picture.width,
                height=picture.height,
                matrix=picture.matrix,
                value_range=picture.value_range,
            )
        except LinkError as exc:
            self._complain("pictures", SinkError(str(exc)))
            return None

    def _close_abandoned(self) -> None:
        if time.monotonic() - self._busy_at < QUIET_SECONDS:
            return
        for index, stream in enumerate(self._streams):
            self._emit_all(index, stream.close_abandoned())

    def _emit_all(self, source: int, dues: Iterable[Due]) -> None:
        for due in dues:
            self._emit(source, due)

    def _tell(self) -> None:
        """Publish every source's status once a second, and the end of all once."""
        if time.monotonic() - self._status_at >= STATUS_SECONDS:
            self._status_at = time.monotonic()
            for index in range(len(self._sources)):
                self._tell_of(index)
        if not self._finished and all(stream.ended for stream in self._streams):
            self._finished = True
            self._outputs.finish()

    def _tell_of(self, source: int) -> None:
        self._outputs.status(
            status_of(
                self._sources[source].source_id,
                self._cells[source],
                news=self._news[source],
                live=self._live[source],
                now_ns=time.monotonic_ns(),
            )
        )

    def _complain(self, about: str, error: SinkError) -> None:
        self._control.report(Complaint(about=about, error=type(error).__name__, message=str(error)))

    def _is_done(self) -> bool:
        return all(stream.is_taken for stream in self._streams) or time.monotonic() - self._busy_at > QUIET_SECONDS

    def _close(self) -> None:
        self._liveness.stamp(Phase.CLOSING, 60.0)
        for index, stream in enumerate(self._streams):
            self._emit_all(index, stream.close_all("shutdown"))
            self._tell_of(index)
        self._outputs.close(FLUSH_SECONDS)
        self._control.report(self._outputs.counts())
        self._inlet.close()
        self._context.term()
