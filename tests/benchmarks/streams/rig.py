"""Cameras, their decoders, the batcher and the graph, in one process."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from pipeline.batching import Batcher, Waiting
from pipeline.config import SourceConfig
from pipeline.graph import Completed, Graph, Lanes
from pipeline.messages import Batch, CodedPacket, Frame, StreamHeader
from pipeline.wire import encode_results
from tests.benchmarks.clips import RATE

LATENCY_MS = 100.0
ENOUGH = 0.98  # of the frames that are due while it is measured: it begins and ends between frames
SECONDS = 3.0
SETTLE_SECONDS = 1.0  # before latencies count
SLOTS = 24


@dataclass(slots=True)
class Measured:
    """What one number of streams gave."""

    streams: int
    latencies_ms: list[float] = field(default_factory=list)
    decode_ms: list[float] = field(default_factory=list)
    stage_ms: dict[str, float] = field(default_factory=dict)  # summed over frames, of their whole batch
    frames: int = 0
    lost: int = 0
    busy: dict[str, float] = field(default_factory=dict)  # percent, by the part of the GPU

    def __add__(self, other: Measured) -> Measured:
        """What two processes gave together."""
        names = {*self.stage_ms, *other.stage_ms}
        return Measured(
            self.streams + other.streams,
            self.latencies_ms + other.latencies_ms,
            self.decode_ms + other.decode_ms,
            {name: self.stage_ms.get(name, 0.0) + other.stage_ms.get(name, 0.0) for name in names},
            self.frames + other.frames,
            self.lost + other.lost,
        )

    @property
    def p95_ms(self) -> float:
        """The latency that 95 % of the frames keep."""
        return statistics.quantiles(self.latencies_ms, n=20)[-1] if len(self.latencies_ms) > 20 else float("inf")

    @property
    def keeps_up(self) -> bool:
        """Whether all came, nothing was lost, and the latency is kept."""
        wanted = ENOUGH * self.streams * RATE * SECONDS
        return self.lost == 0 and self.frames >= wanted and self.p95_ms <= LATENCY_MS


class Camera(threading.Thread):
    """Gives a clip's packets to a decoder, at the pace of a camera, and its frames to the rig."""

    def __init__(self, number: int, header: StreamHeader, packets: list[CodedPacket], parts: Any, rig: Rig) -> None:
        super().__init__(daemon=True)
        self.source_id = f"camera-{number}"
        self._header, self._packets, self._parts, self._rig = header, packets, parts, rig
        self._offset = number * 7 % RATE / RATE**2  # seconds; cameras do not send at one time

    def run(self) -> None:
        """Play until the rig ends, once all decoders have given a picture: the first takes longest."""
        self._decoder = self._parts.decoder(self._header, SourceConfig(url="clip.mp4", source_id=self.source_id))
        self._pool = self._parts.pool()
        first_key = next(i for i, packet in enumerate(self._packets) if packet.is_key)
        order = [*self._packets[first_key:], *self._packets[:first_key]]
        seq = 1 + next(number for number, packet in enumerate(order) if self._decoder.decode(packet))
        self._rig.together.wait()
        self._rig.going.wait()
        due = time.monotonic() + self._offset
        while not self._rig.ending.is_set():
            packet = order[seq % len(order)]
            due += 1 / RATE
            time.sleep(max(0.0, due - time.monotonic()))
            arrival_ns = round(due * 1e9)  # being late counts
            for picture in self._decoder.decode(packet):
                surface, read = self._pool.write(seq % SLOTS, picture.surface)
                if read is not None:
                    self._decoder.read_until(read)
                self._rig.push(self._frame(surface, seq, arrival_ns))
            self._rig.decoded_ms.append((time.monotonic() - due) * 1e3)
            seq += 1
        self._decoder.close()

    def _frame(self, surface: Any, seq: int, arrival_ns: int) -> Frame:
        return Frame(self.source_id, 1, seq, seq, Fraction(1, RATE), time.time_ns(), "pts", arrival_ns, surface)


class Rig:
    """The batcher, the lanes and the graph, with cameras before them."""

    def __init__(self, graph: Graph, *, max_batch: int, every: int) -> None:
        self._graph = graph
        self._changed = threading.Condition()
        self._batcher: Batcher[Frame] = Batcher(
            max_batch=max_batch, max_wait_ns=10_000_000, queue_frames=2, stale_ns=200_000_000
        )
        self._every = every
        self.ending = threading.Event()
        self.together = threading.Barrier(1)
        self.going = threading.Event()
        self.decoded_ms: list[float] = []
        self.lost = 0

    def push(self, frame: Frame) -> None:
        """Take a frame from a camera's thread."""
        with self._changed:
            self.lost += self._batcher.push(frame.source_id, frame, now_ns=time.monotonic_ns()) is not None
            self._changed.notify()

    def measure(self, cameras: list[Camera], *, together: Callable[[], None]) -> Measured:
        """Play so many cameras for a while. `together` is called, and waited for, when all decoders are open."""
        for camera in cameras:
            self._batcher.add_source(camera.source_id, lossless=False)
        self.together = threading.Barrier(len(cameras) + 1)
        for camera in cameras:
            camera.start()
        self.together.wait(timeout=60)
        together()
        measured = Measured(len(cameras))
        self._play(cameras, measured)
        measured.lost, measured.decode_ms = self.lost, self.decoded_ms
        return measured

    def _play(self, cameras: list[Camera], measured: Measured) -> None:
        self.going.set()
        begin = time.monotonic()
        with Lanes[None](self._graph, notify=self._wake) as lanes:
            while (now := time.monotonic() - begin) < SECONDS + SETTLE_SECONDS:
                if now < SETTLE_SECONDS:
                    self.lost = 0
                self._submit(lanes)
                for completed in lanes.completed():
                    if completed.error is not None:
                        raise completed.error
                    self._note(completed, measured, counts=now >= SETTLE_SECONDS)
            self.ending.set()
            for camera in cameras:
                camera.join()
            list(lanes.drain())

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    def _submit(self, lanes: Lanes[None]) -> None:
        with self._changed:
            self._changed.wait(0.002)
            now_ns = time.monotonic_ns()
            self.lost += len(self._batcher.expire(now_ns=now_ns))
            entries = self._batcher.take(now_ns=now_ns) if lanes.free else []
        frames = tuple(entry.frame for entry in entries if isinstance(entry, Waiting))
        if frames:
            analysed = tuple(frame.seq % self._every == 0 for frame in frames)
            lanes.submit(Batch(frames, analysed=None if all(analysed) else analysed), None)

    @staticmethod
    def _note(completed: Completed[None], measured: Measured, *, counts: bool) -> None:
        encode_results(completed.results)
        now_ns = time.monotonic_ns()
        timings = completed.results[0].timings
        if counts and timings is not None:
            measured.frames += len(completed.batch)
            for frame in completed.batch.frames:
                measured.latencies_ms.append((now_ns - frame.arrival_monotonic_ns) / 1e6)
            for name, spent in timings.stage_ms.items():
                measured.stage_ms[name] = measured.stage_ms.get(name, 0.0) + spent * len(completed.batch)
