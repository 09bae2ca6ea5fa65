"""Where the time goes: each step on its own, in one thread, on the same frames and in batches of the same size."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TypeVar

import numpy as np

from pipeline.batching import Batcher, Waiting
from pipeline.config import PipelineConfig
from pipeline.graph import Graph
from pipeline.messages import Batch, Frame, Surface, Timings, results_of
from pipeline.wire import encode_results
from tests.benchmarks.ceiling import chain

Result = TypeVar("Result")

WARM_BATCHES, BATCHES = 8, 120
FRAME_NS = 40_000_000


class Clock:
    """Microseconds of this thread's processor time, by step."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)

    def time(self, step: str, work: Callable[[], Result]) -> Result:
        """Do something on a step's account."""
        began = time.thread_time_ns()
        result = work()
        self.spent[step] += (time.thread_time_ns() - began) / 1e3
        return result


def frames(sources: int) -> Iterator[Frame]:
    """A frame of each source in turn, for ever."""
    planes = (np.zeros((2, 2), np.uint8), np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8))
    surface = Surface("yuv420p", planes)
    seq = 0
    while True:
        for number in range(sources):
            yield Frame(f"camera-{number}", 1, seq, seq, Fraction(1, 25), seq * FRAME_NS, "host", 0, surface)
        seq += 1


def counts(config: PipelineConfig, *, batches: int = BATCHES) -> dict[str, float]:
    """What a frame has on average: candidates, boxes, segments, runs of the map."""
    coming = frames(len(config.source_configs))
    found: defaultdict[str, float] = defaultdict(float)
    with chain.build_graph(config) as graph:
        for _ in range(batches):
            batch = Batch(tuple(next(coming) for _ in range(config.frames_a_batch)))
            for stage in graph.stages:
                batch = stage(batch)
                if stage.name == "detect":
                    found["candidates"] += sum(map(len, batch.detections or ()))
            found["boxes"] += sum(map(len, batch.detections or ()))
            for panoptic in batch.panoptic or ():
                found["segments"] += len(panoptic.segments.ids)
                found["runs of the map"] += len(panoptic.lengths)
    return {name: count / (batches * config.frames_a_batch) for name, count in found.items()}


def microseconds(config: PipelineConfig) -> dict[str, float]:
    """Of each step, a frame."""
    sources = len(config.source_configs)
    coming = frames(sources)
    batcher: Batcher[Frame] = Batcher(max_batch=config.frames_a_batch, max_wait_ns=0, queue_frames=2)
    for source in config.source_configs:
        batcher.add_source(source.source_id, lossless=True)
    with chain.build_graph(config) as graph:
        for _ in range(WARM_BATCHES):
            one_batch(Clock(), graph, batcher, coming, config.frames_a_batch)
        clock = Clock()
        for _ in range(BATCHES):
            one_batch(clock, graph, batcher, coming, config.frames_a_batch)
    return {step: spent / (BATCHES * config.frames_a_batch) for step, spent in clock.spent.items()}


def one_batch(clock: Clock, graph: Graph, batcher: Batcher[Frame], coming: Iterator[Frame], size: int) -> None:
    """A batch through every step."""
    given = [next(coming) for _ in range(size)]
    batch = clock.time("batch", lambda: gathered(batcher, given))
    for stage in graph.stages:
        batch = clock.time(stage.name, lambda stage=stage, batch=batch: stage(batch))
    timings = [Timings(size, 1.0, {"detect": 1.0}) for _ in batch.frames]
    clock.time(
        "encode",
        lambda: encode_results(results_of(batch, classes=graph.classes, model=graph.model, timings=timings)),
    )


def gathered(batcher: Batcher[Frame], given: list[Frame]) -> Batch:
    """Frames through the queues."""
    for frame in given:
        batcher.push(frame.source_id, frame, now_ns=0)
    return Batch(tuple(entry.frame for entry in batcher.take(now_ns=0) if isinstance(entry, Waiting)))
