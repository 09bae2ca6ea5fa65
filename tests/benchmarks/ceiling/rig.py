"""The real vision worker and the real publisher, with 1 to 200 cameras played by one process and one subscriber.

All but the cameras are pinned to one core, and their processor time is counted. The cameras' is not: what they do
(receiving, decoding) is not what is measured.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import zmq

from pipeline.board import changing
from pipeline.child import Child
from pipeline.config import PipelineConfig, SourceConfig, check, parse
from pipeline.links.shared_memory import Geometry, Ring
from pipeline.links.zeromq import SendingEnd, private_address
from pipeline.shared import Shared
from pipeline.workers.messages import Begin, Descriptor, Ready, SourceGiven, Spec, encode

WIDTH, HEIGHT = 1920, 1080
LINK_CAPACITY = 64
FRAME_NS = 40_000_000  # on the cameras' clock: 25 frames a second
READY_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Used:
    """What a span of frames took."""

    frames: int
    seconds: float
    vision: float  # seconds of processor time
    publisher: float
    subscriber: float

    @property
    def total(self) -> float:
        """Seconds of processor time of all three."""
        return self.vision + self.publisher + self.subscriber


def settings(*, sources: int, masks: bool, max_batch: int) -> PipelineConfig:
    """The configuration that is measured."""
    return check(
        parse(
            {
                "sources": [{"url": f"{i}.fake", "source_id": f"camera-{i}"} for i in range(sources)],
                "detector": {"model": f"null?masks={int(masks)}", "requests": 1, "threads": 1},
                "batch": {"max_batch": max_batch, "max_wait_ms": 20, "queue_frames": 2},
                "suppress": {"max_detections": 20},
                "publish": {"bind": "tcp://127.0.0.1:0"},
                "supervisor": {"max_sources": sources},
            }
        )
    )


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far, all its threads, from the scheduler's own count in ns."""
    return sum(int(stat.read_text().split()[0]) for stat in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def play(inlet: str, sources: list[SourceConfig], shared: Shared, orders: Connection, core: int) -> None:
    """Be all cameras: announce a frame of each in turn wherever a slot is free."""
    os.sched_setaffinity(0, {core})
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
    links, rings = [], []
    for place, source in enumerate(sources):
        memory, freed = shared.ring(place)
        rings.append(Ring(memory, freed, Geometry.of(slots=shared.slots, max_pixels=source.max_pixels)))
        links.append(SendingEnd(context, inlet, capacity=LINK_CAPACITY))
        cells = shared.board.sources[place]
        assert cells.begin(1, by=cells.camera) is not None
    rows = [shared.board.sources[place].row(1) for place in range(len(sources))]
    seqs = [0] * len(sources)
    orders.send("ready")
    while not orders.poll():
        idle = True
        for number, ring in enumerate(rings):
            slot = ring.take()
            if slot is None:
                continue
            idle = False
            seq, now_ns = seqs[number], time.monotonic_ns()
            seqs[number] += 1
            described = Descriptor(
                number, 1, seq, slot.index, slot.generation, WIDTH, HEIGHT, "nv12", "bt709", "limited",
                seq, (1, 25), seq * FRAME_NS, "host", now_ns, False,
            )  # fmt: skip
            row, cells = rows[number], shared.board.sources[number]
            assert row is not None
            with changing(cells.camera):
                row.captured += 1
                row.camera_sent += 1
            while not links[number].send([encode([described])]):
                time.sleep(0.001)
        if idle:
            time.sleep(0.001)
    os._exit(0)


def read(address: str, kinds: list[bytes], back: Connection, core: int) -> None:
    """Be the subscriber: take every message there is, and tell how many whenever asked."""
    os.sched_setaffinity(0, {core})
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.connect(address)
    for topic in kinds:
        socket.subscribe(topic)
    count = 0
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    poller.register(back.fileno(), zmq.POLLIN)
    while True:
        ready = dict(poller.poll(1000))
        if socket in ready:
            try:
                while True:
                    socket.recv_multipart(zmq.NOBLOCK)
                    count += 1
            except zmq.Again:
                pass
        if back.fileno() in ready:
            back.recv()
            back.send(count)


def _await_ready(child: Child) -> Ready:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        select.select([child], [], [], 1.0)
        reports, ended = child.reports()
        for report in reports:
            if isinstance(report, Ready):
                return report
            raise RuntimeError(f"a worker tells {report}")
        if ended:
            raise RuntimeError("a worker ended before it was ready")
    raise TimeoutError("a worker was not ready in time")


@contextmanager
def running(config: PipelineConfig, *, builder: str, core: int) -> Iterator[Rig]:
    """Everything running; ended at the end."""
    sources = config.source_configs
    shared = Shared(places=len(sources), frames_at_once=2 * config.frames_a_batch, queue_frames=2)
    shared.slots = max(5, -(-4 * config.frames_a_batch // len(sources)))
    for source in sources:
        shared.take(source)
    # Like a camera's own, but with pictures nobody writes: the memory is never touched.
    inlets = {"vision": private_address("vision"), "publisher": private_address("publisher")}
    children: dict[str, Child] = {}
    spawn = multiprocessing.get_context("fork")
    helpers = []
    try:
        for index, role in enumerate(("vision", "publisher")):
            child = children[role] = Child(debug=True, single_threaded=True)
            child.order(
                Spec(
                    role=role,
                    cells=index,
                    places=len(sources),
                    config=config,
                    builder=builder,
                    slots=shared.slots,
                    inlet=inlets[role],
                    outlet=inlets["publisher"] if role == "vision" else "",
                    bind="tcp://127.0.0.1:0",
                    debug=True,
                ),
                [shared.board_memory],
            )
            for place, source in enumerate(sources):
                child.order(SourceGiven(place, place, source), [*shared.ring(place)])
            child.order(Begin())
        while any(child._orders for child in children.values()):
            for child in children.values():
                child.flush()
            time.sleep(0.01)
        address = [_await_ready(children[role]) for role in ("vision", "publisher")][1].address
        for child in children.values():
            for task in Path(f"/proc/{child.pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), {core})
        ours, theirs = multiprocessing.Pipe()
        topics = [f"{source.source_id}/all/".encode() for source in sources]
        reader = spawn.Process(target=read, args=(address, topics, theirs, core), daemon=True)
        reader.start()
        mine, cameras = multiprocessing.Pipe()
        others = sorted(os.sched_getaffinity(0) - {core}) or [core]
        player = spawn.Process(target=play, args=(inlets["vision"], sources, shared, cameras, others[0]), daemon=True)
        player.start()
        helpers = [reader, player]
        mine.recv()
        yield Rig(children["vision"].pid, children["publisher"].pid, reader.pid or 0, ours)
    finally:
        for helper in helpers:
            helper.kill()
            helper.join()
        for child in children.values():
            child.kill()
        shared.close()


class Rig:
    """What runs, to be looked at."""

    def __init__(self, vision: int, publisher: int, subscriber: int, asked: Connection) -> None:
        self._pids = (vision, publisher, subscriber)
        self._asked = asked

    def received(self) -> int:
        """Messages that the subscriber has."""
        self._asked.send(None)
        return int(self._asked.recv())

    def _now(self) -> tuple[int, float, list[float]]:
        return self.received(), time.perf_counter(), [cpu_seconds(pid) for pid in self._pids]

    def measure(self, *, warm_frames: int, frames: int) -> Used:
        """What so many frames take, after some that warm everything up."""
        until = time.monotonic() + READY_SECONDS
        while self.received() < warm_frames:
            if time.monotonic() > until:
                raise TimeoutError(f"{self.received()} results came; {warm_frames} were awaited")
            time.sleep(0.05)
        first, began, before = self._now()
        while self.received() < first + frames:
            if time.monotonic() > until:
                raise TimeoutError(f"{self.received()} results came; {first + frames} were awaited")
            time.sleep(0.05)
        last, ended, after = self._now()
        spent = [b - a for a, b in zip(before, after, strict=True)]
        return Used(last - first, ended - began, *spent)
