"""End to end on a GPU: how many 1080p30 cameras are decoded, analysed and tracked with a p95 latency of 100 ms.

``python -m tests.benchmarks streams --device cuda``. A thread a camera gives a clip's packets to its decoder at 30 a
second; what comes out goes through the batcher, the lanes and the graph that a run has, and is coded as for `all`. A
frame's latency counts from its packet to its coded result. The networks are the real architectures with random weights:
RT-DETRv2 with its R50, and EoMT-S for panoptic maps of every frame, and of every third. Theirs is the number of streams
that is asked for; for the last row it is the loop a user would write, whose frames a second are held against ours.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from pipeline.batching import Batcher, Waiting
from pipeline.build import build_graph
from pipeline.config import SourceConfig, check, parse
from pipeline.graph import Completed, Graph, Lanes
from pipeline.messages import Batch, CodedPacket, Frame, StreamHeader
from pipeline.wire import encode_results
from stages.decode.device_parts import CudaParts
from tests.benchmarks.clips import RATE, clip_of, packets_in
from tests.benchmarks.table import Row
from tests.benchmarks.timing import Device

LATENCY_MS = 100.0
LADDER = (8, 16, 25, 40, 50, 64, 80, 100, 128, 160, 200)
SECONDS = 6.0
SETTLE_SECONDS = 1.5  # before latencies count
SLOTS = 24


@dataclass(slots=True)
class Measured:
    """What one number of streams gave."""

    streams: int
    latencies_ms: list[float] = field(default_factory=list)
    decode_ms: list[float] = field(default_factory=list)
    stage_ms: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    lost: int = 0

    @property
    def p95_ms(self) -> float:
        """The latency that 95 % of the frames keep."""
        return statistics.quantiles(self.latencies_ms, n=20)[-1] if len(self.latencies_ms) > 20 else float("inf")

    @property
    def keeps_up(self) -> bool:
        """Whether nothing was lost and the latency is kept."""
        return self.lost == 0 and self.p95_ms <= LATENCY_MS


class Camera(threading.Thread):
    """Gives a clip's packets to a decoder, at the pace of a camera, and its frames to the rig."""

    def __init__(self, number: int, header: StreamHeader, packets: list[CodedPacket], parts: Any, rig: Rig) -> None:
        super().__init__(daemon=True)
        self.source_id = f"camera-{number}"
        self._header, self._packets, self._rig = header, packets, rig
        self._decoder = parts.decoder(header, SourceConfig(url="clip.mp4", source_id=self.source_id))
        self._pool = parts.pool()
        self._first = number * 7 % len(packets)

    def run(self) -> None:
        """Play until the rig ends."""
        first_key = next(i for i, packet in enumerate(self._packets) if packet.is_key)
        order = [*self._packets[first_key:], *self._packets[:first_key]]
        due, seq = time.monotonic() + self._first / RATE / 7, 0
        while not self._rig.ending.is_set():
            packet = order[seq % len(order)]
            due += 1 / RATE
            time.sleep(max(0.0, due - time.monotonic()))
            arrival_ns = time.monotonic_ns()
            for picture in self._decoder.decode(packet):
                surface, read = self._pool.write(seq % SLOTS, picture.surface)
                if read is not None:
                    self._decoder.read_until(read)
                self._rig.push(self._frame(surface, seq, arrival_ns))
            self._rig.decoded_ms.append((time.monotonic_ns() - arrival_ns) / 1e6)
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
        self.decoded_ms: list[float] = []
        self.lost = 0

    def push(self, frame: Frame) -> None:
        """Take a frame from a camera's thread."""
        with self._changed:
            self.lost += self._batcher.push(frame.source_id, frame, now_ns=time.monotonic_ns()) is not None
            self._changed.notify()

    def measure(self, cameras: list[Camera]) -> Measured:
        """Play so many cameras for a while."""
        for camera in cameras:
            self._batcher.add_source(camera.source_id, lossless=False)
        for camera in cameras:
            camera.start()
        measured = Measured(len(cameras))
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
        measured.lost, measured.decode_ms = self.lost, self.decoded_ms
        return measured

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
                measured.stage_ms[name] += round(spent * 1000)


def network(kind: str, folder: Path) -> str:
    """A folder with a network of the real architecture and random weights."""
    import transformers as t

    names = {i: f"thing {i}" for i in range(80)} if kind == "detector" else {i: f"class {i}" for i in range(133)}
    labels = {"id2label": names, "label2id": {name: i for i, name in names.items()}}
    if kind == "detector":
        made: Any = t.RTDetrV2ForObjectDetection(t.RTDetrV2Config(**labels))
    else:
        small = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "image_size": 640}
        made = t.EomtForUniversalSegmentation(t.EomtConfig(num_queries=200, **small, **labels))
    made.eval().save_pretrained(folder)
    return f"transformers:{folder}"


def graph_of(kind: str, model: str, device: Device, *, max_batch: int) -> Graph:
    """What a run would build."""
    detector = {"model": model, "score_threshold": 0.0}
    settings = {"sources": ["a=a.mp4"], "publish": {"bind": None}, "offline": True, "device": device}
    suppress = {"max_detections": 20, "score_threshold": 0.001}
    batch = {"max_batch": max_batch}
    config = check(parse({**settings, "detector": detector, "suppress": suppress, "batch": batch}))
    graph = build_graph(config)
    graph.warm_up(lambda text: print(f"  {kind}: {text}"))
    return graph


def climb(graph: Graph, clip: tuple[StreamHeader, list[CodedPacket]], parts: Any, *, every: int) -> Measured:
    """The most streams of the ladder that keep up."""
    best = Measured(0)
    for streams in LADDER:
        rig = Rig(graph, max_batch=8, every=every)
        measured = rig.measure([Camera(number, *clip, parts, rig) for number in range(streams)])
        print(f"  {streams} streams: p95 {measured.p95_ms:.0f} ms, {measured.lost} lost, {measured.frames} frames")
        for number in range(streams):
            graph.forget(f"camera-{number}")
        if not measured.keeps_up:
            break
        best = measured
    return best


def rows_of(name: str, best: Measured, target: int) -> list[Row]:
    """How many streams, and where a frame's time goes."""
    rows: list[Row] = [
        {
            "name": f"{name}: 1080p30 streams with p95 of at most {LATENCY_MS:.0f} ms (theirs: asked for)",
            "ours": best.streams,
            "theirs": target,
            "ratio": best.streams / target,
            "unit": "streams",
            "target": 1.0,
        }
    ]
    if not best.streams:
        return rows
    spent = {stage: total / 1000 / max(best.frames, 1) for stage, total in best.stage_ms.items()}
    spent["decode"] = statistics.fmean(best.decode_ms) if best.decode_ms else 0.0
    spent["latency p95"] = best.p95_ms
    for stage, milliseconds in spent.items():
        rows.append({"name": f"{name}: {stage}", "ours": milliseconds, "theirs": None, "ratio": None, "unit": "ms"})
    return rows


def run(device: Device = "cuda") -> list[Row]:
    """All rows."""
    import PyNvVideoCodec

    clip, parts = packets_in(clip_of("h264"), library=PyNvVideoCodec), CudaParts("cuda:0")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, every, target, name in (
            ("detector", 1, 50, "RT-DETRv2-R50"),
            ("panoptic", 1, 25, "EoMT-S, every frame"),
            ("panoptic", 3, 50, "EoMT-S, every third frame"),
        ):
            model = network(kind, Path(folder) / f"{kind}-{every}")
            with graph_of(kind, model, device, max_batch=8) as graph:
                rows += rows_of(name, climb(graph, clip, parts, every=every), target)
    return rows
