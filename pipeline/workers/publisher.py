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

from pipeline.board import Phase
from pipeline.errors import LinkError, SinkError
from pipeline.links.zeromq import ReceivingEnd, SendingEnd
from pipeline.messages import Surface
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
    Over,
    Ready,
    SourceGiven,
    SourceNews,
    Stop,
    Withdraw,
    Withdrawn,
    decode_from_vision,
)
from pipeline.workers.outputs import DELIVERY_MESSAGES, Delivery, Outputs
from pipeline.workers.served import Served
from pipeline.workers.stream import Due

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
        self._bench, self._occupants = bench, bench.occupants
        self._control, self._liveness = bench.control, bench.liveness
        self._pace = bench.pace()
        self._served = {number: Served.of(occupant) for number, occupant in bench.occupants.items()}
        self._publisher = builder.build_publisher(msgspec.structs.replace(spec.config.publish, bind=spec.bind))
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._delivery = None
        if spec.delivery:
            self._delivery = Delivery(SendingEnd(self._context, spec.delivery, capacity=DELIVERY_MESSAGES))
        self._outputs = Outputs(
            publisher=self._publisher,
            sinks=builder.build_sinks(spec.config),
            delivery=self._delivery,
            complain=self._complain,
            zones=builder.build_zones(spec.config) if spec.config.zones is not None else None,
        )
        self._inlet = ReceivingEnd(self._context, spec.inlet, capacity=LINK_MESSAGES)
        self._poller = self._poller_of(self._inlet.waitable, zmq.POLLIN)
        if self._delivery is not None:
            self._poller_while_blocked = self._poller_of(self._delivery.link.waitable, zmq.POLLOUT)
        self._busy_at = self._emptied_at = time.monotonic()
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
        for served in self._served.values():
            self._emit_all(served, served.stream.resume())
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
        if self._draining or any(served.stream.is_abandoned for served in self._served.values()):
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
            elif isinstance(order, SourceGiven):
                self._serve(order)
            elif isinstance(order, SourceNews | Abandoned | Withdraw) and order.source in self._served:
                self._hear_of(self._served[order.source], order)

    def _serve(self, given: SourceGiven) -> None:
        served = self._served[given.number] = Served.of(self._bench.admit(given))
        self._finished = False
        self._outputs.status(served.status())

    def _hear_of(self, served: Served, order: SourceNews | Abandoned | Withdraw) -> None:
        if isinstance(order, SourceNews):
            served.hear(order)
            self._outputs.status(served.status())
        elif isinstance(order, Abandoned):
            served.stream.abandon(order)
            self._busy_at = served.heard_at = time.monotonic()
        else:
            self._let_go(served)

    def _let_go(self, served: Served) -> None:
        """Forget a source of which everything is settled."""
        number = served.occupant.number
        self._outputs.status(served.last_status())
        del self._served[number]
        self._occupants.dismiss(number)
        self._control.report(Withdrawn(number))

    def _receive(self) -> None:
        for _ in range(AT_ONCE):
            if not self._may_receive():
                return
            parts = self._inlet.receive()
            if parts is None:
                self._emptied_at = time.monotonic()
                return
            self._busy_at = time.monotonic()
            try:
                messages = decode_from_vision(parts[0])
            except msgspec.DecodeError:
                continue  # only processes of ours get through to here; an ended one may have sent half a message
            coded, begin = parts[1] if len(parts) > 1 else b"", 0
            self._liveness.stamp(Phase.WORKING, self._pace.allowed_seconds * len(messages))
            started = time.monotonic()
            for message in messages:
                end = begin + message.size if isinstance(message, Analysed) else begin
                self._take(message, coded[begin:end])
                begin = end
            self._pace.took((time.monotonic() - started) / len(messages))

    def _take(self, message: FromVision, payload: bytes) -> None:
        if message.source not in self._served:
            self._obey()  # it may have been given just now; else it has gone, and this means nothing
        served = self._served.get(message.source)
        if served is None:
            return
        served.heard_at = time.monotonic()
        stream = served.stream
        for due in stream.before(message.epoch):
            self._emit(served, due)
        if isinstance(message, Lost):
            self._emit(served, stream.lost(message))
        elif isinstance(message, Ended):
            self._emit(served, stream.end(message))
        else:
            due_result = stream.result(message)
            if due_result is not None:
                self._emit(served, due_result, message, payload)
            if message.picture is not None:
                served.occupant.ring.release(message.picture.taken)

    def _emit(self, served: Served, due: Due, message: Analysed | None = None, payload: bytes = b"") -> None:
        for gap in due.gaps:
            self._outputs.gap(gap)
        if message is not None:
            self._publish(served, due.gap_before, message, payload)
        if due.gaps or message is not None:
            served.stream.sent()
        if due.over is not None:
            self._outputs.over(Over(served.source_id, *due.over))

    def _publish(self, served: Served, gap_before: int, message: Analysed, payload: bytes) -> None:
        source_id = served.source_id
        self._outputs.publish(source_id, message.epoch, message.seq, payload, gap_before=gap_before)
        latency_ms = (time.monotonic_ns() - message.arrival_ns) / 1e6
        served.occupant.cells.latency.record(latency_ms)
        surface = self._surface(served, message.picture)
        if surface is not None and message.picture is not None:
            self._outputs.show(message.picture.frame(source_id, surface))
        self._outputs.write(payload, surface, gap_before=gap_before, latency_ms=latency_ms)
        self._outputs.deliver(Delivered(source_id, message.epoch, message.seq, gap_before), payload)

    def _surface(self, served: Served, picture: Descriptor | None) -> Surface | None:
        """The picture to draw on or to show; None where nobody wants it, or the slot was taken back."""
        if picture is None or not self._outputs.wants_picture(served.source_id):
            return None
        ring = served.occupant.ring
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
        """Of a source that nothing was said of for a while, although the link was found empty since."""
        for served in self._served.values():
            if served.stream.is_abandoned and self._emptied_at - served.heard_at >= QUIET_SECONDS:
                self._emit_all(served, served.stream.close_abandoned())

    def _emit_all(self, served: Served, dues: Iterable[Due]) -> None:
        for due in dues:
            self._emit(served, due)

    def _tell(self) -> None:
        """Publish every source's status once a second, and the end of all once."""
        if time.monotonic() - self._status_at >= STATUS_SECONDS:
            self._status_at = time.monotonic()
            for served in self._served.values():
                self._outputs.status(served.status())
            self._pass_on_complaints()
            if self._outputs.has_sinks or self._outputs.refused:
                self._control.mention(self._outputs.counts())
        if not self._finished and self._served and all(served.stream.ended for served in self._served.values()):
            self._finished = True
            self._outputs.finish()

    def _pass_on_complaints(self) -> None:
        for about, error in self._outputs.complaints():
            self._complain(about, error)

    def _complain(self, about: str, error: SinkError) -> None:
        self._control.report(Complaint(about=about, error=type(error).__name__, message=str(error)))

    def _is_done(self) -> bool:
        taken = all(served.stream.is_taken for served in self._served.values())
        return taken or time.monotonic() - self._busy_at > QUIET_SECONDS

    def _close(self) -> None:
        self._liveness.stamp(Phase.CLOSING, 60.0)
        for served in self._served.values():
            self._emit_all(served, served.stream.close_all("shutdown"))
            self._outputs.status(served.status())
        self._outputs.close(FLUSH_SECONDS)
        self._pass_on_complaints()
        self._control.report(self._outputs.counts())
        self._inlet.close()
        self._context.term()
