"""The real accounting of camera, vision worker and publisher over memory links; any of them may die at any write.

A worker writes to the board and to its link through a `tests.pipeline.fuses.Fuse`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import Any

import numpy as np

from pipeline.batching import Batcher, Waiting, frames_of
from pipeline.board import Board, EpochRow, Role, SourceCells, mend
from pipeline.config import SourceConfig
from pipeline.engines.arrivals import Arrivals
from pipeline.links.shared_memory import Geometry, Ring
from pipeline.messages import Frame, Gap, SourceStatus, Surface
from pipeline.status import News, status_of
from pipeline.workers.inbound import Entry, Inbound, spoken_of
from pipeline.workers.labels import Labels
from pipeline.workers.messages import (
    Abandoned,
    Analysed,
    Declared,
    Delivered,
    Descriptor,
    Ended,
    Lost,
    Over,
    decode_from_camera,
    decode_from_vision,
)
from pipeline.workers.occupants import Occupant, Occupants
from pipeline.workers.outbound import Outbound
from pipeline.workers.parcels import Parcels
from pipeline.workers.stream import Due, Stream
from tests.pipeline.fuses import Fuse, FusedLink, FusedWords, Killed, SharedLink

SLOTS = 3
WIDTH, HEIGHT = 4, 2
SURFACE = Surface("yuv420p", (np.zeros((2, 4), np.uint8), np.zeros((1, 2), np.uint8), np.zeros((1, 2), np.uint8)))
LINK_CAPACITY = 8


def frame_of(epoch: int, seq: int) -> Frame:
    return Frame("cam", epoch, seq, seq, Fraction(1, 25), 0, "host", 0, SURFACE)


class Machine:
    """One source through three workers, the supervisor that replaces them, and the program that reads along."""

    def __init__(self, board: Board, ring: Ring, *, lossless: bool) -> None:
        self.cells, self.ring = board.sources[0], ring
        self.source = SourceConfig(url="rtsp://cam" if not lossless else "cam.mp4", source_id="cam")
        self.links: dict[str, SharedLink] = {}
        self.fuses: dict[Role, Fuse] = {"camera": Fuse(), "vision": Fuse(), "publisher": Fuse()}
        self.published: list[tuple[int, int, int, bool]] = []  # epoch, first, last, whether a result
        self.read: list[tuple[int, int, int, bool]] = []  # the same, as the program reads it
        self.arrivals = Arrivals(decode=lambda _, gap_before: None)
        self.epochs = 0
        self.settled_epochs = 0  # those begun before the last death: what was in the hands of the dead is not counted
        self.captured_by_epoch: dict[int, int] = {}
        self.vision_inlet = self.publisher_inlet = 0
        self.unready: set[Role] = set()
        self.orders: list[Abandoned] = []  # that the publisher has not heard yet
        self.reader_epoch, self.reader_seq = self.next_epoch(), 0
        self.start_publisher()
        self.start_vision()
        self.start_camera()

    def next_epoch(self) -> int:
        self.epochs += 1
        return self.epochs

    def link(self, name: str) -> SharedLink:
        return self.links.setdefault(name, SharedLink(capacity=LINK_CAPACITY))

    def bench(self, role: Role) -> tuple[SourceCells, Callable[[str], Any]]:
        """What a new worker sees of the board, and how it opens links."""
        fuse = self.fuses[role] = Fuse()
        words: Any = FusedWords(self.cells.words, fuse)
        return SourceCells(words), lambda name: FusedLink(self.link(name), fuse)

    # Workers are born and die.

    def start_camera(self) -> None:
        cells, link_to = self.bench("camera")
        self.ring.reclaim()
        self.labels = Labels(self.next_epoch)
        self.outbound = Outbound(
            f"vision-{self.vision_inlet}",
            link_to=link_to,
            source=0,
            source_id="cam",
            cells=cells,
            own=cells.camera,
            ring=self.ring,
        )

    def start_vision(self) -> None:
        cells, link_to = self.bench("vision")
        occupants = Occupants([Occupant(0, self.source, cells, self.ring)])
        self.batcher: Batcher[Descriptor] = Batcher(max_batch=2, max_wait_ns=0, queue_frames=2)
        self.inbound = Inbound(
            self.link(f"vision-{self.vision_inlet}"),
            self.batcher,
            occupants=occupants,
        )
        self.parcels = Parcels(
            f"publisher-{self.publisher_inlet}",
            link_to=link_to,
            occupants=occupants,
            hand_on_pictures=False,
        )
        self.lanes: list[list[Entry]] = []

    def start_publisher(self) -> None:
        cells, _ = self.bench("publisher")
        self.stream = Stream("cam", cells)
        for due in self.stream.resume():
            self.emit(due)

    def kill(self, role: Role) -> None:
        mend(role, [self.cells])
        self.settled_epochs = self.epochs
        getattr(self, f"replace_{role}")()

    def kill_camera(self) -> None:
        self.kill("camera")

    def kill_vision(self) -> None:
        self.kill("vision")

    def kill_publisher(self) -> None:
        self.kill("publisher")

    def replace_camera(self) -> None:
        awaited = "nothing" if "vision" in self.unready else "held"
        newest = self.cells.newest_epoch
        self.orders.append(Abandoned(0, newest, "worker_restart", final=False, awaited=awaited))
        self.reader_epoch, self.reader_seq = self.next_epoch(), 0
        self.start_camera()

    def replace_vision(self) -> None:
        self.vision_inlet += 1
        self.start_vision()
        self.unready.add("vision")

    def replace_publisher(self) -> None:
        self.publisher_inlet += 1
        self.orders.clear()  # the socket they were in is gone
        self.start_publisher()
        self.unready.add("publisher")

    def ready(self) -> None:
        """Replacements work: the others are told where they are, and cameras begin a new epoch."""
        if "publisher" in self.unready:
            self.parcels.reroute(f"publisher-{self.publisher_inlet}")
        if self.unready:
            self.outbound.reconnect(f"vision-{self.vision_inlet}")
            self.labels.renew()
            self.settled_epochs = self.epochs
        self.unready.clear()

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

    def hand_on(self) -> None:
        self.parcels.send()

    def publish(self) -> None:
        parts = self.link(f"publisher-{self.publisher_inlet}").receive()
        for message in decode_from_vision(parts[0]) if parts else []:
            self.balance()
            for due in self.stream.before(message.epoch):
                self.emit(due)
            if isinstance(message, Analysed):
                due_result = self.stream.result(message)
                if due_result is not None:
                    self.emit(due_result, message)
            else:
                self.emit(self.stream.lost(message) if isinstance(message, Lost) else self.stream.end(message))

    def hear(self) -> None:
        while self.orders:
            self.stream.abandon(self.orders.pop(0))

    def close_abandoned(self) -> None:
        for due in self.stream.close_abandoned():
            self.emit(due)

    def emit(self, due: Due, result: Analysed | None = None) -> None:
        for gap in due.gaps:
            self.published.append((gap.epoch, gap.first_seq, gap.last_seq, False))
            self.arrive(Declared("cam", gap.epoch, gap.first_seq, gap.last_seq, gap.reason))
        if result is not None:
            self.published.append((result.epoch, result.seq, result.seq, True))
            self.arrive(Delivered("cam", result.epoch, result.seq, due.gap_before))
        if due.over is not None:
            self.arrive(Over("cam", *due.over))
        if due.gaps or result is not None:
            self.stream.sent()

    def arrive(self, message: Delivered | Declared | Over) -> None:
        for item in self.arrivals.items(message, b""):
            if isinstance(item, Gap):
                self.read.append((item.epoch, item.first_seq, item.last_seq, False))
            else:
                assert isinstance(message, Delivered)
                self.read.append((message.epoch, message.seq, message.seq, True))

    # Whoever looks on.

    def do(self, action: str, *, dies_at: int | None = None) -> bool:
        """Have a worker do something; whether it died of it, which it does at write `dies_at`, if it comes to that."""
        role = ACTIONS[action]
        died = role is not None and not self.survives(action, role, dies_at)
        if role is None:
            getattr(self, action)()
        self.balance()  # if it died: before anybody has noticed
        if died and role is not None:
            self.kill(role)
            self.balance()
        self.compare_with_queues()
        return died

    def survives(self, action: str, role: Role, dies_at: int | None) -> bool:
        self.fuses[role].arm(dies_at)
        with suppress(Killed):
            getattr(self, action)()
            self.fuses[role].arm(None)
            return True
        return False

    def drain(self) -> None:
        """The orderly end of a run."""
        self.ready()
        self.hear()
        self.outbound.end("shutdown", final=True)
        for _ in range(50):
            self.receive()
            self.submit()
            self.complete()
            self.hand_on()
            self.publish()
        for due in self.stream.close_all("shutdown"):
            self.emit(due)

    def status(self) -> SourceStatus:
        return status_of("cam", self.cells, news=News(), live=True, now_ns=0)

    def balance(self) -> None:
        now = self.cells.snapshot()
        for row in now.rows:
            self.captured_by_epoch[row.epoch] = max(self.captured_by_epoch.get(row.epoch, 0), row.captured)
        if not now.is_settled:  # a worker lies dead in the middle of a change
            return
        status = status_of("cam", now, news=News(), live=True, now_ns=0)
        assert status.balance == 0, status
        assert status.in_flight >= 0

    def compare_with_queues(self) -> None:
        """Between two actions, what is in flight is what lies in the queues; of epochs that no death has touched."""
        for row in self.cells.open_rows:
            if row.epoch > self.settled_epochs and not self.unready:
                assert self.cells.in_flight(row) == self.counted(row, self.cells.taken(row))

    def counted(self, row: EpochRow, taken: int) -> dict[str, int]:
        """Frames of an epoch as they lie in the queues."""
        lost = self.outbound._lost if self.outbound._epoch == row.epoch else None
        coming = [m for parts in self.link(f"vision-{self.vision_inlet}").content for m in decode_from_camera(parts[0])]
        entries = [entry for lane in self.lanes for entry in lane] + list(self.batcher._queues["cam"].entries)
        packed = sum(n for parcel in self.parcels._waiting for _, epoch, n in parcel.spoken if epoch == row.epoch)
        leaving = [
            m for parts in self.link(f"publisher-{self.publisher_inlet}").content for m in decode_from_vision(parts[0])
        ]
        untold = 0 if lost is None else lost.count
        if row.epoch != self.outbound._epoch or self.outbound._row is None:
            untold = row.camera_held  # the link was full at its end: declared once the epoch is closed
        return {
            "camera": untold,
            "to_vision": sum(spoken_of(message) for message in coming if message.epoch == row.epoch),
            "vision": sum(frames_in(entry) for entry in entries if epoch_of(entry) == row.epoch) + packed,
            "to_publisher": sum(left_of(message, taken) for message in leaving if message.epoch == row.epoch),
        }


def frames_in(entry: Entry) -> int:
    return 1 if isinstance(entry, Waiting) else frames_of(entry)


def epoch_of(entry: Entry) -> int:
    return entry.frame.epoch if isinstance(entry, Waiting) else entry.epoch


def left_of(message: Analysed | Lost | Ended, taken: int) -> int:
    """Frames a message speaks of that the publisher has not taken."""
    if isinstance(message, Ended):
        return 0
    first, last = (message.seq, message.seq) if isinstance(message, Analysed) else (message.first_seq, message.last_seq)
    return max(0, last + 1 - max(first, taken))


# What may happen, and whose doing it is.
ACTIONS: dict[str, Role | None] = {
    "capture": "camera",
    "reconnect_camera": "camera",
    "receive": "vision",
    "submit": "vision",
    "complete": "vision",
    "fail": "vision",
    "hand_on": "vision",
    "publish": "publisher",
    "hear": "publisher",
    "close_abandoned": "publisher",
    "ready": None,
    "kill_camera": None,
    "kill_vision": None,
    "kill_publisher": None,
}


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


def check_read(run: Machine) -> None:
    """Each frame of each epoch that there was is in exactly one result or gap, in order."""
    expected: dict[int, int] = {}
    newest = 0
    for epoch, first, last, _ in run.read:
        assert epoch >= newest
        newest = epoch
        assert first == expected.get(epoch, 0), run.read
        expected[epoch] = last + 1
    assert expected == {epoch: frames for epoch, frames in run.captured_by_epoch.items() if frames}
