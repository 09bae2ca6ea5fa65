"""The graph: refused where it cannot work, and the same results for any number of lanes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
import pytest

from pipeline.errors import GraphError
from pipeline.graph import Graph, Lanes
from pipeline.messages import Batch, Classes, Detections, Frame, ModelInfo, Surface, Tracks
from pipeline.stage import Field

CLASSES = Classes(things=("person",))
MODEL = ModelInfo(name="fake", version="1")


def frame(seq: int) -> Frame:
    surface = Surface("rgb24", (np.full((2, 2, 3), seq % 256, dtype=np.uint8),))
    return Frame("cam", 1, seq, seq, Fraction(1, 25), seq * 40_000_000, "recording", 0, surface)


@dataclass
class FakeDetect:
    """Gives each frame one box at its own number; batch `slow_seq` waits until a later batch has passed."""

    name: str = "detect"
    stateful: bool = False
    needs: frozenset[Field] = frozenset({"frames"})
    adds: frozenset[Field] = frozenset({"detections"})
    slow_seq: int | None = None
    fail_seq: int | None = None
    overtaken: threading.Event = field(default_factory=threading.Event)

    def __call__(self, batch: Batch) -> Batch:
        seq = batch.frames[0].seq
        if any(f.seq == self.fail_seq for f in batch.frames):
            raise RuntimeError("out of memory")
        if seq == self.slow_seq:
            assert self.overtaken.wait(10)
        elif self.slow_seq is not None and seq > self.slow_seq:
            self.overtaken.set()
        return replace(batch, detections=tuple(box_at(f.seq) for f in batch.frames))


@dataclass
class FakeTrack:
    """Remembers the order in which frames came."""

    name: str = "track"
    stateful: bool = True
    needs: frozenset[Field] = frozenset({"detections"})
    adds: frozenset[Field] = frozenset({"tracks"})
    seen: list[int] = field(default_factory=list)

    def __call__(self, batch: Batch) -> Batch:
        self.seen.extend(f.seq for f in batch.frames)
        return replace(batch, tracks=tuple(Tracks.empty() for _ in batch.frames))


def box_at(seq: int) -> Detections:
    box = np.array([[seq, 0, seq + 1, 1]], dtype=np.float32)
    return Detections.of(box, np.ones(1, dtype=np.float32), np.zeros(1, dtype=np.int32))


def test_track_before_detect_is_refused_with_both_names() -> None:
    with pytest.raises(GraphError, match=r"'track' needs detections, and 'detect'.*comes after"):
        Graph([FakeTrack(), FakeDetect()], classes=CLASSES, model=MODEL)


def test_a_need_nobody_fills_is_refused() -> None:
    with pytest.raises(GraphError, match=r"'track' needs detections, and no stage adds it"):
        Graph([FakeTrack()], classes=CLASSES, model=MODEL)


def test_results_come_in_order_though_a_later_batch_is_ready_first() -> None:
    track = FakeTrack()
    graph = Graph([FakeDetect(slow_seq=0), track], classes=CLASSES, model=MODEL, lanes=2)
    with Lanes[int](graph) as lanes:
        for seq in range(3):
            lanes.submit(Batch((frame(seq),)), seq)
        done = list(lanes.drain())
    assert [c.context for c in done] == [0, 1, 2]
    assert track.seen == [0, 1, 2]
    assert [c.results[0].detections.boxes[0, 0] for c in done] == [0, 1, 2]


def test_a_failed_batch_comes_out_with_its_error_and_the_next_goes_on() -> None:
    track = FakeTrack()
    graph = Graph([FakeDetect(fail_seq=1), track], classes=CLASSES, model=MODEL, lanes=2)
    with Lanes[None](graph) as lanes:
        for seq in range(3):
            lanes.submit(Batch((frame(seq),)), None)
        done = list(lanes.drain())
    assert [len(c.results) for c in done] == [1, 0, 1]
    assert str(done[1].error) == "out of memory"
    assert track.seen == [0, 2]


@pytest.mark.parametrize("fail_seq", range(5))
def test_a_frame_at_fault_costs_none_of_those_it_was_batched_with(fail_seq: int) -> None:
    track = FakeTrack()
    graph = Graph([FakeDetect(fail_seq=fail_seq), track], classes=CLASSES, model=MODEL)
    with Lanes[None](graph) as lanes:
        lanes.submit(Batch(tuple(frame(seq) for seq in range(5))), None)
        (done,) = lanes.drain()
    others = [seq for seq in range(5) if seq != fail_seq]
    assert [result.seq for result in done.results] == track.seen == others
    assert [result.detections.boxes[0, 0] for result in done.results] == others
    assert str(done.error) == "out of memory"


@pytest.mark.parametrize("lanes", [1, 2, 4])
@pytest.mark.parametrize("size", [1, 3])
def test_results_do_not_depend_on_lanes_or_batch_size(lanes: int, size: int) -> None:
    graph = Graph([FakeDetect(), FakeTrack()], classes=CLASSES, model=MODEL, lanes=lanes)
    with Lanes[None](graph) as runner:
        for start in range(0, 12, size):
            runner.submit(Batch(tuple(frame(seq) for seq in range(start, start + size))), None)
        results = [result for done in runner.drain() for result in done.results]
    assert [r.seq for r in results] == list(range(12))
    assert [float(r.detections.boxes[0, 0]) for r in results] == [float(seq) for seq in range(12)]


def test_notify_is_called_for_each_batch() -> None:
    called = threading.Semaphore(0)
    graph = Graph([FakeDetect()], classes=CLASSES, model=MODEL, lanes=1)
    with Lanes[None](graph, notify=called.release) as lanes:
        lanes.submit(Batch((frame(0),)), None)
        lanes.submit(Batch((frame(1),)), None)
        assert called.acquire(timeout=10)
        assert called.acquire(timeout=10)
        assert lanes.in_flight == 2
        assert len(list(lanes.completed(timeout_seconds=10))) >= 1
