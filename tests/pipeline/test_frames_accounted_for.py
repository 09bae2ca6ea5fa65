"""The real accounting of camera, vision worker and publisher over memory links, in any order of events and deaths.

At every instant `captured = resulted + dropped + in flight`; what is published is in order, never twice, and complete.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.batching import Batcher, Waiting
from pipeline.board import Board, mend
from pipeline.config import SourceConfig
from pipeline.links.memory import MemoryLink
from pipeline.links.shared_memory import Geometry, Ring
from pipeline.messages import Frame, SourceStatus, Surface
from pipeline.status import News, status_of
from pipeline.workers.inbound import Entry, Inbound
from pipeline.workers.labels import Labels
from pipeline.workers.messages import (
    Abandoned,
    Analysed,
    Descriptor,
    Lost,
    decode_from_vision,
)
from pipeline.workers.outbound import Outbound
from pipeline.workers.parcels import Parcels
from pipeline.workers.stream import Due, Stream

SLOTS = 3
WIDTH, HEIGHT = 4, 2
SURFACE = Surface("yuv420p", (np.zeros((2, 4), np.uint8), np.zeros((1, 2), np.uint8), np.zeros((1, 2), np.uint8)))


def frame_of(epoch: int, seq: int) -> Frame:
    return Frame("cam", epoch, seq, seq, Fraction(1, 25), 0, "host", 0, SURFACE)


class SharedLink(MemoryLink):
    """A link that one of several senders may leave."""

    def close(self, *, flush_seconds: float = 0.0) -> None:
        pass


class Machine:
    """One source through three workers, each of which can die at any moment."""

    def __init__(self, board: Board, ring: Ring, *, lossless: bool) -> None:
        self.cells, self.ring = board.sources[0], ring
        self.source = SourceConfig(url="rtsp://cam" if not lossless else "cam.mp4", source_id="cam")
        self.links: dict[str, SharedLink] = {}
        self.published: list[tuple[int, int, int, bool]] = []  # epoch, first, last, whether a result
        self.epochs = 0
        self.vision_inlet = self.publisher_inlet = 0
        self.reader_epoch, self.reader_seq = self.next_epoch(), 0
        self.start_publisher()
        self.start_vision()
        self.start_camera()

    def next_epoch(self) -> int:
        self.epochs += 1
        return self.epochs

    def link(self, name: str) -> SharedLink:
        return self.links.setdefault(name, SharedLink(capacity=8))

    # Workers are born and die.

    def start_camera(self) -> None:
        self.ring.reclaim()
        self.labels = Labels(self.next_epoch)
        self.outbound = Outbound(
            f"vision-{self.vision_inlet}",
            link_to=self.link,
            source=0,
            source_id="cam",
            cells=self.cells,
            ring=self.ring,
        )

    def start_vision(self) -> None:
        self.batcher: Batcher[Descriptor] = Batcher(max_batch=2, max_wait_ns=0, queue_frames=2)
        self.inbound = Inbound(
            self.link(f"vision-{self.vision_inlet}"),
            self.batcher,
            sources=[self.source],
            cells=[self.cells],
            rings={0: self.ring},
        )
        self.parcels = Parcels(
            f"publisher-{self.publisher_inlet}",
            link_to=self.link,
            source_ids=["cam"],
            cells=[self.cells],
            rings={0: self.ring},
            hand_on_pictures=False,
        )
        self.lanes: list[list[Entry]] = []

    def start_publisher(self) -> None:
        self.stream = Stream("cam", self.cells)
        self.emit(self.stream.resume())

    def kill_camera(self) -> None:
        mend("camera", [self.cells])
        self.stream.abandon(Abandoned(0, "worker_restart", final=False, awaited="held"))
        self.reader_epoch, self.reader_seq = self.next_epoch(), 0
        self.start_camera()

    def kill_vision(self) -> None:
        self.vision_inlet += 1
        self.start_vision()
        mend("vision", [self.cells])
        self.renew()

    def kill_publisher(self) -> None:
        self.publisher_inlet += 1
        self.start_publisher()
        self.parcels.reroute(f"publisher-{self.publisher_inlet}")
        self.renew()

    def renew(self) -> None:
        self.outbound.reconnect(f"vision-{self.vision_inlet}")
        self.labels.renew()

    # Workers work.

    def capture(self) -> None:
        frame = frame_of(self.reader_epoch, self.reader_seq)
        self.reader_seq += 1
        epoch, seq = self.labels.of(frame)
        if not self.outbound.begin(epoch):
            return
        self.outbound.captured()
        slot = self.ring.take()
        if slot is None:
            self.outbound.lose(seq, "backlog")
        else:
            self.outbound.send(frame, seq, slot, arrival_ns=time.monotonic_ns())

    def reconnect_camera(self) -> None:
        self.outbound.end("decode_error", final=False)
        self.reader_epoch, self.reader_seq = self.next_epoch(), 0

    def receive(self) -> None:
        self.inbound.receive_all()

    def submit(self) -> None:
        entries = self.batcher.take(now_ns=1 << 62)
        if entries:
            self.lanes.append(list(entries))

    def complete(self) -> None:
        if self.lanes:
            self.parcels.pack(self.lanes[0], self.payloads(self.lanes.pop(0)))
        elif notices := self.batcher.take_notices("cam"):
            self.parcels.pack(notices, {})

    def fail(self) -> None:
        if self.lanes:
            self.parcels.pack(self.lanes.pop(0), {})

    def payloads(self, entries: list[Entry]) -> dict[tuple[str, int, int], bytes]:
        frames = [entry.frame for entry in entries if isinstance(entry, Waiting)]
        return {("cam", frame.epoch, frame.seq): b"result" for frame in frames}

    def publish(self) -> None:
        self.parcels.send()
        parts = self.link(f"publisher-{self.publisher_inlet}").receive()
        for message in decode_from_vision(parts[0]) if parts else []:
            self.balance()
            for due in self.stream.before(message.epoch):
                self.emit(due)
            if isinstance(message, Analysed):
                due_result = self.stream.result(message)
                if due_result is not None:
                    self.emit(due_result, (message.epoch, message.seq))
            else:
                self.emit(self.stream.lost(message) if isinstance(message, Lost) else self.stream.end(message))

    def publish_half(self) -> None:
        """The publisher dies between writing down and sending."""
        parts = self.link(f"publisher-{self.publisher_inlet}").receive()
        for message in decode_from_vision(parts[0])[:1] if parts else []:
            if isinstance(message, Analysed):
                for due in self.stream.before(message.epoch):
                    self.emit(due)
                self.stream.result(message)
        self.kill_publisher()

    def close_abandoned(self) -> None:
        for due in self.stream.close_abandoned():
            self.emit(due)

    def emit(self, due: Due, result: tuple[int, int] | None = None) -> None:
        self.published += [(gap.epoch, gap.first_seq, gap.last_seq, False) for gap in due.gaps]
        if result is not None:
            self.published.append((result[0], result[1], result[1], True))
        self.stream.sent()

    def drain(self) -> None:
        """The orderly end of a run."""
        self.outbound.end("shutdown", final=True)
        for _ in range(200):
            self.receive()
            self.submit()
            self.complete()
            self.publish()
        for due in self.stream.close_all("shutdown"):
            self.emit(due)

    def status(self) -> SourceStatus:
        return status_of("cam", self.cells, news=News(), live=True, now_ns=0)

    def balance(self) -> None:
        status = self.status()
        assert status.balance == 0, status
        assert status.in_flight >= 0


ACTIONS = (
    *["capture"] * 4,
    *["receive"] * 2,
    *["submit"] * 2,
    *["complete"] * 2,
    *["publish"] * 3,
    "fail",
    "reconnect_camera",
    "close_abandoned",
    "kill_camera",
    "kill_vision",
    "kill_publisher",
    "publish_half",
)


@contextmanager
def machine(*, lossless: bool = False) -> Iterator[Machine]:
    geometry = Geometry.of(slots=SLOTS, max_pixels=WIDTH * HEIGHT)
    memory, freed = Ring.create(geometry)
    board_memory = Board.create(workers=1, sources=1)
    try:
        yield Machine(Board(board_memory, workers=1, sources=1), Ring(memory, freed, geometry), lossless=lossless)
    finally:
        for descriptor in (memory, freed, board_memory):
            os.close(descriptor)


def check_published(run: Machine) -> None:
    """Each frame of each epoch is in exactly one result or gap, in order."""
    expected: dict[int, int] = {}
    newest = 0
    for epoch, first, last, _ in run.published:
        assert epoch >= newest
        newest = epoch
        assert first == expected.get(epoch, 0), run.published
        expected[epoch] = last + 1
    assert sum(expected.values()) == run.status().captured


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=st.lists(st.sampled_from(ACTIONS), max_size=120), lossless=st.booleans())
def test_every_frame_is_accounted_for_at_every_instant(actions: list[str], lossless: bool) -> None:
    with machine(lossless=lossless) as run:
        for action in actions:
            getattr(run, action)()
            run.balance()
        run.drain()
        run.balance()
        assert run.status().in_flight == 0
        if "publish_half" not in actions:
            check_published(run)
        results = [(epoch, first) for epoch, first, _, is_result in run.published if is_result]
        assert len(results) == len(set(results)), "a frame was published twice"
        assert results == sorted(results)


def test_frames_lost_with_a_publisher_are_lost_once() -> None:
    with machine() as run:
        for action in (*["capture"] * 4, "receive", "capture", "submit", "fail", "kill_publisher"):
            getattr(run, action)()
            run.balance()
        run.drain()
        assert run.status().dropped == {"worker_restart": 4, "backlog": 1}


def test_a_run_without_faults_loses_nothing() -> None:
    with machine(lossless=True) as run:
        for _ in range(20):
            for action in ("capture", "receive", "submit", "complete", "publish"):
                getattr(run, action)()
        run.drain()
        assert run.status().resulted == run.status().captured == 20
        assert run.status().dropped == {}
        assert run.ring.in_use == 0


@pytest.mark.parametrize("worker", ["camera", "vision", "publisher"])
def test_a_death_costs_the_frames_in_flight_and_starts_a_new_epoch(worker: str) -> None:
    with machine() as run:
        for action in ("capture", "receive", "submit", "complete", "publish", "capture"):
            getattr(run, action)()
        getattr(run, f"kill_{worker}")()
        assert run.status().in_flight == 1
        for action in ("capture", "receive", "submit", "complete", "publish"):
            getattr(run, action)()
        status = run.status()
        assert (status.captured, status.resulted, status.dropped) == (3, 2, {"worker_restart": 1})
        assert status.epoch == 2


def test_what_a_publisher_may_not_have_sent_is_declared_lost_by_the_next() -> None:
    with machine() as run:
        for action in ("capture", "receive", "submit", "complete", "publish_half"):
            getattr(run, action)()
        status = run.status()
        assert (status.captured, status.resulted, status.dropped) == (1, 0, {"worker_restart": 1})
        assert run.published == [(1, 0, 0, False)]
