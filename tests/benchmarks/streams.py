"""End to end on a GPU: how many 1080p30 cameras are decoded, analysed and tracked with a p95 latency of 100 ms.

``python -m tests.benchmarks streams --device cuda``. A thread a camera gives a clip's packets to its decoder at 30 a
second; what comes out goes through the batcher, the lanes and the graph that a run has, and is coded as for `all`. A
frame's latency counts from its packet to its coded result. The networks are the real architectures with random weights:
RT-DETRv2 with its R50, and EoMT-S for panoptic maps of every frame, and of every third. Random masks have no segments,
so what EoMT gives is replaced, once it is computed, by masks of drawn streets (`panoptic`). Theirs is the number of
streams that is asked for, or the loop a user would write (`user_loop`), whose frames a second are held against ours.
How busy the GPU and its decoder were is as the driver says (NVML). Where a frame's time goes is drawn beside the
figures.
"""

from __future__ import annotations

import statistics
import subprocess
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
from stages.detect.coco import COCO_CLASSES
from tests.benchmarks.clips import RATE, clip_of, packets_in
from tests.benchmarks.panoptic import outputs
from tests.benchmarks.table import Row, show
from tests.benchmarks.timing import Device
from tests.benchmarks.user_loop import frames_a_second

LATENCY_MS = 100.0
LADDER = (8, 16, 20, 25, 28, 32, 36, 40, 50, 64, 80, 100, 128, 160, 200)
SECONDS = 3.0
SETTLE_SECONDS = 1.0  # before latencies count
ENOUGH = 0.98  # of the frames that are due while it is measured: it begins and ends between frames
SLOTS = 24
DRAWN = 4  # streets that are drawn; each stands in several places of a batch
MAX_BATCH = 16
PICTURE = Path(__file__).parent / "results" / "streams.png"


@dataclass(slots=True)
class Measured:
    """What one number of streams gave."""

    streams: int
    latencies_ms: list[float] = field(default_factory=list)
    decode_ms: list[float] = field(default_factory=list)
    stage_ms: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    lost: int = 0
    busy: dict[str, float] = field(default_factory=dict)  # percent, by the part of the GPU

    @property
    def p95_ms(self) -> float:
        """The latency that 95 % of the frames keep."""
        return statistics.quantiles(self.latencies_ms, n=20)[-1] if len(self.latencies_ms) > 20 else float("inf")

    @property
    def keeps_up(self) -> bool:
        """Whether all came, nothing was lost, and the latency is kept."""
        wanted = ENOUGH * self.streams * RATE * SECONDS
        return self.lost == 0 and self.frames >= wanted and self.p95_ms <= LATENCY_MS


class Busy(threading.Thread):
    """Asks the driver how busy the GPU and its decoder are, while this is entered."""

    ASK = ("nvidia-smi", "--query-gpu=utilization.gpu,utilization.decoder", "--format=csv,noheader,nounits", "-lms=200")

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.share: dict[str, float] = {}
        self._asked: list[list[float]] = []

    def __enter__(self) -> Busy:
        self._asker = subprocess.Popen(self.ASK, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._asker.terminate()
        self._asker.wait()
        self.join()
        if self._asked:
            columns = zip(*self._asked, strict=True)
            self.share = dict(zip(("GPU", "decoder"), map(statistics.fmean, columns), strict=True))

    def run(self) -> None:
        """Read what it says until it ends."""
        assert self._asker.stdout is not None
        for line in self._asker.stdout:
            told = [part.strip() for part in line.split(",")]
            if len(told) == 2 and all(part.isdigit() for part in told):  # else the driver does not say
                self._asked.append([float(part) for part in told])


class Camera(threading.Thread):
    """Gives a clip's packets to a decoder, at the pace of a camera, and its frames to the rig."""

    def __init__(self, number: int, header: StreamHeader, packets: list[CodedPacket], parts: Any, rig: Rig) -> None:
        super().__init__(daemon=True)
        self.source_id = f"camera-{number}"
        self._header, self._packets, self._parts, self._rig = header, packets, parts, rig
        self._offset = number * 7 % RATE / RATE**2  # seconds; cameras do not send at one time

    def run(self) -> None:
        """Play until the rig ends, once all cameras' decoders have given a picture: the first takes longest."""
        self._decoder = self._parts.decoder(self._header, SourceConfig(url="clip.mp4", source_id=self.source_id))
        self._pool = self._parts.pool()
        first_key = next(i for i, packet in enumerate(self._packets) if packet.is_key)
        order = [*self._packets[first_key:], *self._packets[:first_key]]
        seq = 1 + next(number for number, packet in enumerate(order) if self._decoder.decode(packet))
        self._rig.together.wait()
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
        self.together = threading.Barrier(len(cameras) + 1)
        for camera in cameras:
            camera.start()
        self.together.wait(timeout=30)
        measured = Measured(len(cameras))
        with Busy() as busy:
            self._play(cameras, measured)
        measured.lost, measured.decode_ms, measured.busy = self.lost, self.decoded_ms, busy.share
        return measured

    def _play(self, cameras: list[Camera], measured: Measured) -> None:
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
                measured.stage_ms[name] += round(spent * 1000) * len(completed.batch)


def network(kind: str, folder: Path) -> str:
    """A folder with a network of the real architecture and random weights."""
    import transformers as t

    named = COCO_CLASSES if kind == "detector" else (*COCO_CLASSES, *(f"stuff {i}" for i in range(53)))
    names = dict(enumerate(named))
    labels = {"id2label": names, "label2id": {name: i for i, name in names.items()}}
    if kind == "detector":
        made: Any = t.RTDetrV2ForObjectDetection(t.RTDetrV2Config(**labels))
    else:
        small = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "image_size": 640}
        made = t.EomtForUniversalSegmentation(t.EomtConfig(num_queries=200, **small, **labels))
        made.attn_mask_probs.zero_()  # as it is in networks that were trained to the end
    made.eval().save_pretrained(folder)
    return f"transformers:{folder}"


def graph_of(kind: str, model: str, device: Device, *, max_batch: int) -> Graph:
    """What a run would build."""
    detector = {"model": model} | ({"score_threshold": 0.0} if kind == "detector" else {})
    settings = {"sources": ["a=a.mp4"], "publish": {"bind": None}, "offline": True, "device": device}
    suppress = {"max_detections": 20, "score_threshold": 0.001}
    batch = {"max_batch": max_batch}
    config = check(parse({**settings, "detector": detector, "suppress": suppress, "batch": batch}))
    graph = build_graph(config)
    if kind == "panoptic":
        draw(graph, max_batch, device)
    graph.warm_up(lambda text: print(f"  {kind}: {text}"))
    return graph


def draw(graph: Graph, count: int, device: Device) -> None:
    """Have a panoptic network give masks of drawn streets, once it has computed its own."""
    import torch

    from stages.on_device import OnDevice

    (stage,) = (one for one in graph.stages if isinstance(one, OnDevice))
    prepared = stage._detector._buckets._module
    assert prepared is not None
    drawn, computed = outputs(DRAWN), prepared.network
    again = [row % DRAWN for row in range(count)]
    masks, classes = (one.to(device, prepared.dtype)[again] for one in (drawn.masks, drawn.chances))

    class Drawn(torch.nn.Module):
        def forward(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
            found = computed(pictures)
            assert (found["masks"].shape[1:], found["classes"].shape[1:]) == (masks.shape[1:], classes.shape[1:])
            return {"masks": masks[: len(pictures)], "classes": classes[: len(pictures)]}

    prepared.network = Drawn()


def climb(
    graph: Graph, clip: tuple[StreamHeader, list[CodedPacket]], parts: Any, *, every: int, start: int
) -> Measured:
    """The most streams of the ladder that keep up, looked for from `start` on, upwards or downwards."""
    tried: dict[int, Measured] = {}
    at = LADDER.index(start)
    while at not in tried and 0 <= at < len(LADDER):
        streams = LADDER[at]
        rig = Rig(graph, max_batch=MAX_BATCH, every=every)
        tried[at] = measured = rig.measure([Camera(number, *clip, parts, rig) for number in range(streams)])
        latency = f"p95 {measured.p95_ms:.0f} ms, {measured.lost} lost of {measured.frames + measured.lost}"
        spent = ", ".join(f"{stage} {milliseconds:.1f}" for stage, milliseconds in spent_by(measured).items())
        print(f"  {streams} streams: {latency}; {spent}; busy {measured.busy}", flush=True)
        for number in range(streams):
            graph.forget(f"camera-{number}")
        at += 1 if measured.keeps_up else -1
    return max((one for one in tried.values() if one.keeps_up), key=lambda one: one.streams, default=Measured(0))


def rows_of(name: str, best: Measured, target: int) -> list[Row]:
    """How many streams, where a frame's time goes, and how busy the GPU is."""
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
    for stage, milliseconds in {**spent_by(best), "latency p95": best.p95_ms}.items():
        rows.append({"name": f"{name}: {stage}", "ours": milliseconds, "theirs": None, "ratio": None, "unit": "ms"})
    for part, percent in best.busy.items():
        rows.append({"name": f"{name}: {part} busy", "ours": percent, "theirs": None, "ratio": None, "unit": "%"})
    return rows


def spent_by(best: Measured) -> dict[str, float]:
    """Milliseconds of a frame, by where they went: decoder, the stages of its whole batch; waiting is what is left."""
    stages = {stage: total / 1000 / max(best.frames, 1) for stage, total in best.stage_ms.items()}
    decode = statistics.fmean(best.decode_ms) if best.decode_ms else 0.0
    latency = statistics.fmean(best.latencies_ms) if best.latencies_ms else 0.0
    return {"decode": decode, "wait": max(0.0, latency - decode - sum(stages.values())), **stages}


def plot(measured: dict[str, Measured], path: Path) -> None:
    """A bar for each network: where a frame's time goes."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.9 * len(measured)))
    stages = list(dict.fromkeys(stage for best in measured.values() for stage in spent_by(best)))
    names = [f"{name}\n{best.streams} streams" for name, best in measured.items()]
    left = [0.0] * len(measured)
    for number, stage in enumerate(stages):
        widths = [spent_by(best).get(stage, 0.0) for best in measured.values()]
        axes.barh(names, widths, left=left, label=stage, color=pyplot.get_cmap("tab10")(number))
        left = [before + width for before, width in zip(left, widths, strict=True)]
    axes.plot([best.p95_ms for best in measured.values()], names, "k|", markersize=24, label="latency p95")
    axes.set(xlabel="milliseconds of a frame, from its packet to its coded result", xlim=(0, None))
    axes.invert_yaxis()
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.35), frameon=False)
    figure.savefig(path, dpi=110, bbox_inches="tight")


CASES = {  # kind of network: every which frame, streams that are asked for, where to begin, name
    "detector": ((1, 50, 32, "RT-DETRv2-R50"),),
    "panoptic": ((1, 25, 32, "EoMT-S, every frame"), (3, 50, 64, "EoMT-S, every third frame")),
}
LOOP_TARGET = 10.0


def run(device: Device = "cuda") -> list[Row]:
    """All rows."""
    import PyNvVideoCodec

    clip, parts = packets_in(clip_of("h264"), library=PyNvVideoCodec), CudaParts("cuda:0")
    rows: list[Row] = []
    found: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory() as text:
        for kind, cases in CASES.items():
            folder = Path(text) / kind
            model = network(kind, folder)
            with graph_of(kind, model, device, max_batch=MAX_BATCH) as graph:
                for every, target, start, name in cases:
                    found[name] = best = climb(graph, clip, parts, every=every, start=start)
                    rows += rows_of(name, best, target)
            theirs = frames_a_second(kind, folder, clip_of("h264"), device=device)
            name = cases[0][-1]
            ours = found[name].frames / SECONDS
            rows.append(
                {"name": f"{name}: against OpenCV and transformers, a picture at a time", "ours": ours}
                | {"theirs": theirs, "ratio": ours / theirs, "unit": "frames/s", "target": LOOP_TARGET}
            )
            show(f"Streams: {kind}", rows)
    plot(found, PICTURE)
    return rows
