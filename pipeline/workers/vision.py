"""The vision worker: frames of all sources through the graph, results and losses on to the publisher, in order.

One thread runs the loop: what came is queued, what is due is submitted to the lanes, what the lanes finished is coded
and sent. It sleeps until something happens.
"""

from __future__ import annotations

import gc
import math
import os
import time
from collections import Counter, deque
from dataclasses import dataclass

import zmq

from pipeline.batching import Batcher, Waiting
from pipeline.board import Phase
from pipeline.errors import DeviceLost
from pipeline.graph import Completed, Graph, Lanes
from pipeline.links.zeromq import ReceivingEnd, SendingEnd
from pipeline.messages import Batch, BatchResults, Frame
from pipeline.wire import encode_results
from pipeline.workers.bench import Bench
from pipeline.workers.builder import load_builder
from pipeline.workers.decoding import DeviceParts
from pipeline.workers.decodings import Decodings
from pipeline.workers.inbound import Entry, Inbound
from pipeline.workers.messages import (
    Complaint,
    Descriptor,
    Epoch,
    Noted,
    Ready,
    Reroute,
    SourceGiven,
    Stop,
    Withdraw,
    Withdrawn,
)
from pipeline.workers.parcels import Parcels

SPARE_MESSAGES = 64  # of a camera, beyond one a slot: ends of epochs, mostly
LINK_MESSAGES = 32  # on their way to the publisher before it holds us back
WAIT_SECONDS = 1.0
WAIT_DEADLINE_SECONDS = 5.0
DRAIN_WAIT_SECONDS = 0.02
DRAIN_QUIET_SECONDS = 0.3  # frames that an ended camera worker announced, and that have not come by then, will not
FLUSH_SECONDS = 2.0
_FOR_EVER_NS = 1 << 62


def run(bench: Bench) -> None:
    """Be the vision worker."""
    bench.liveness.stamp(Phase.LOADING, bench.spec.config.supervisor.load_deadline_seconds)
    builder = load_builder(bench.spec.builder)
    with builder.build_graph(bench.spec.config) as graph:
        # Loading leaves a million objects that stay: the collector need not walk them again and again.
        gc.collect()
        gc.freeze()
        config = bench.spec.config
        worker = VisionWorker(bench, graph, builder.device_parts(config) if config.decodes_on_device else None)
        graph.warm_up(worker.tell_of_loading)
        bench.control.report(Ready(notes=graph.notes))
        worker.run()


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What goes through the lanes with a batch: its entries in order, and when it was submitted."""

    entries: tuple[Entry, ...]
    since: float


class VisionWorker:
    """The loop, with everything it holds."""

    def __init__(self, bench: Bench, graph: Graph, parts: DeviceParts | None = None) -> None:
        """`parts`: what decodes packets here, if anything does."""
        spec, config = bench.spec, bench.spec.config
        self._bench, self._graph = bench, graph
        self._control, self._liveness, self._occupants = bench.control, bench.liveness, bench.occupants
        self._batcher: Batcher[Descriptor] = Batcher(
            max_batch=config.frames_a_batch,
            max_wait_ns=round(config.batch.max_wait_ms * 1e6),
            queue_frames=config.batch.queue_frames,
            stale_ns=round(config.batch.stale_ms * 1e6),
        )
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._inlet = ReceivingEnd(self._context, spec.inlet, capacity=spec.slots + SPARE_MESSAGES)
        self._woken = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._decodings = self._decoding_with(parts) if config.decodes_on_device else None
        self._inbound = Inbound(
            self._inlet,
            self._batcher,
            occupants=self._occupants,
            catch_up=self._obey,
            also=None if self._decodings is None else self._decodings.feed,
        )
        self._parcels = Parcels(
            spec.outlet,
            link_to=lambda address: SendingEnd(self._context, address, capacity=LINK_MESSAGES),
            occupants=self._occupants,
            hand_on_pictures=config.hands_on_pictures,
        )
        self._lanes: Lanes[Work] = Lanes(graph, notify=self._wake)
        self._submitted: deque[float] = deque()
        self._in_lanes: Counter[str] = Counter()
        self._pace = bench.pace()
        self._complained = ""
        self._draining = False
        self._leaving: set[int] = set()
        self._poller = zmq.Poller()
        for readable in (self._inlet.waitable, self._control.fileno(), self._woken):
            self._poller.register(readable, zmq.POLLIN)

    def run(self) -> None:
        """Work until told to stop and nothing is left, then leave."""
        busy_at = time.monotonic()
        while not (self._draining and self._is_done(busy_at)):
            self._stamp()
            ready = self._poll()
            if ready:
                busy_at = time.monotonic()
            if self._control.fileno() in ready:
                self._obey()
            if self._decodings is not None:
                self._decodings.tend()
            self._inbound.receive_all()
            for completed in self._lanes.completed():
                self._settle(completed)
            self._submit()
            self._flush_notices()
            self._parcels.send()
            self._let_go()
        self._close()

    def _decoding_with(self, parts: DeviceParts | None) -> Decodings:
        return Decodings(
            parts,
            inlet=self._bench.spec.inlet,
            occupants=self._occupants,
            control=self._control,
            wake=self._wake,
            context=self._context,
            and_here=self._bench.spec.config.hands_on_pictures,
            hang_seconds=self._bench.spec.config.supervisor.frame_deadline_seconds,
            load_seconds=self._bench.spec.config.supervisor.load_deadline_seconds,
        )

    def _wake(self) -> None:
        os.eventfd_write(self._woken, 1)

    def tell_of_loading(self, text: str) -> None:
        """A step of loading is done, and the next has as long again."""
        self._bench.liveness.stamp(Phase.LOADING, self._bench.spec.config.supervisor.load_deadline_seconds)
        self._control.report(Noted(text))

    def _poll(self) -> set[object]:
        """Sleep until something happens; what is ready."""
        wait = DRAIN_WAIT_SECONDS if self._draining else WAIT_SECONDS
        due_ns = self._batcher.due_ns() if self._may_submit() else None
        if due_ns is not None:
            wait = min(wait, max(0.0, (due_ns - time.monotonic_ns()) / 1e9))
        outlet = self._parcels.link.waitable if self._parcels.blocked else None
        if outlet is not None:
            self._poller.register(outlet, zmq.POLLOUT)
        ready: set[object] = {waited for waited, _ in self._poller.poll(math.ceil(wait * 1000))}
        if outlet is not None:
            self._poller.unregister(outlet)
        if self._woken in ready:
            os.eventfd_read(self._woken)
        return ready

    def _obey(self) -> None:
        for order in self._control.orders():
            if isinstance(order, Stop):
                self._draining = True
            elif isinstance(order, Reroute):
                self._parcels.reroute(order.outlet)
                if self._decodings is not None:
                    self._decodings.renew()
            elif isinstance(order, SourceGiven):
                self._bench.admit(order)
                self._inbound.admit(order.number)
                if self._decodings is not None:
                    self._decodings.admit(order.number)
            elif isinstance(order, Withdraw):
                self._leaving.add(order.source)
            elif isinstance(order, Epoch) and self._decodings is not None:
                self._decodings.answer(order)

    def _let_go(self) -> None:
        """Forget sources that have gone, once nothing of them is in our hands."""
        for number in list(self._leaving):
            source_id = self._occupants[number].source.source_id
            if self._in_lanes[source_id] or not self._batcher.is_empty(source_id) or self._parcels.holds(number):
                continue
            if self._decodings is not None and not self._decodings.dismiss(number):
                continue
            self._inbound.dismiss(number)
            self._occupants.dismiss(number)
            self._graph.forget(source_id)
            del self._in_lanes[source_id]
            self._leaving.discard(number)
            self._control.report(Withdrawn(number))

    def _may_submit(self) -> bool:
        # A publisher that takes no more holds back the whole: frames wait, or are lost, where that is accounted for.
        return self._lanes.free > 0 and not self._parcels.blocked

    def _submit(self) -> None:
        while self._may_submit():
            now_ns = time.monotonic_ns()
            for late in self._batcher.expire(now_ns=now_ns):
                self._occupants[late.source].ring.release(late.taken)
            entries = self._batcher.take(now_ns=_FOR_EVER_NS if self._draining else now_ns)
            if not entries:
                return
            waiting = [entry for entry in entries if isinstance(entry, Waiting)]
            pairs = [(frame, entry.analysed) for entry in waiting if (frame := self._frame(entry)) is not None]
            if not pairs:
                self._parcels.pack(entries, {})
                continue
            since = time.monotonic()
            self._submitted.append(since)
            self._in_lanes.update(entry.source_id for entry in waiting)
            frames, analysed = zip(*pairs, strict=True)
            batch = Batch(frames, analysed=None if all(analysed) else analysed)
            self._lanes.submit(batch, Work(tuple(entries), since))

    def _frame(self, entry: Waiting[Descriptor]) -> Frame | None:
        """The frame with its picture; None where its slot was taken back."""
        at, ring = entry.frame, self._occupants[entry.frame.source].ring
        slot = at.taken
        if not ring.is_current(slot):
            return None
        surface = ring.surface(
            slot,
            pixel_format=at.pixel_format,
            width=at.width,
            height=at.height,
            matrix=at.matrix,
            value_range=at.value_range,
        )
        return at.frame(entry.source_id, surface)

    def _settle(self, completed: Completed[Work]) -> None:
        """Code what a batch gave, and hand it on."""
        work = completed.context
        self._submitted.popleft()
        self._in_lanes.subtract(entry.source_id for entry in work.entries if isinstance(entry, Waiting))
        took = time.monotonic() - work.since
        self._pace.took(took)
        self._batcher.took(took)
        payloads: dict[tuple[str, int, int], bytes] = {}
        if isinstance(completed.error, DeviceLost):
            raise completed.error
        if completed.error is not None:
            self._complain(completed.error)
        for text in self._graph.complaints():
            self._control.report(Complaint(about="inference", error="ModelError", message=text))
        try:
            payloads = encoded(completed)
        except Exception as exc:  # noqa: BLE001 - whatever a stage makes up costs its batch, not the run
            self._complain(exc)
        self._parcels.pack(work.entries, payloads)

    def _flush_notices(self) -> None:
        """Hand on notices that no frame is before any more, in the queue or in the lanes."""
        for source_id in self._batcher.noticed:
            if not self._in_lanes[source_id] and (notices := self._batcher.take_notices(source_id)):
                self._parcels.pack(notices, {})

    def _stamp(self) -> None:
        if not self._submitted:
            self._liveness.stamp(Phase.WAITING, WAIT_DEADLINE_SECONDS)
        else:
            allowed = self._submitted[0] + self._pace.allowed_seconds - time.monotonic()
            self._liveness.stamp(Phase.WORKING, allowed)

    def _complain(self, error: Exception) -> None:
        """Tell of an error in a batch; of the same one only once."""
        message = f"{type(error).__name__}: {error}"
        if message != self._complained:
            self._complained = message
            self._control.report(Complaint(about="inference", error=type(error).__name__, message=message))

    def _is_done(self, busy_at: float) -> bool:
        if self._batcher.waiting or self._lanes.in_flight or self._parcels.blocked:
            return False
        return self._inbound.is_empty or time.monotonic() - busy_at > DRAIN_QUIET_SECONDS

    def _close(self) -> None:
        self._liveness.stamp(Phase.CLOSING, WAIT_DEADLINE_SECONDS)
        if self._decodings is not None:
            self._decodings.close()
        self._lanes.close()
        self._parcels.close(FLUSH_SECONDS)
        self._inlet.close()
        self._context.term()


def encoded(completed: Completed[Work]) -> dict[tuple[str, int, int], bytes]:
    """The payloads of a batch's results, by identity of their frames."""
    results = completed.results
    frames = results.batch.frames if isinstance(results, BatchResults) else results
    return dict(zip((frame.identity for frame in frames), encode_results(results), strict=True))
