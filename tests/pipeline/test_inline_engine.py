"""The inline engine: lossless where it must be, newest wins where it may, one failing source harms nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from pipeline.config import BatchConfig, PipelineConfig, SourceConfig, SupervisorConfig, check
from pipeline.engines.inline import InlineEngine
from pipeline.errors import ConfigError, DeviceLost, SinkError, SourceNotFound
from pipeline.graph import Graph
from pipeline.messages import (
    Batch,
    Classes,
    Detections,
    Frame,
    FrameResult,
    Gap,
    ModelInfo,
    SourceStatus,
    Surface,
    Tracks,
)
from pipeline.stage import Access, Field, Reader, Sink, StreamInfo


class FakeReader:
    """Gives `count` frames; between two of them calls `between`."""

    def __init__(
        self, source_id: str, count: int, next_epoch: Callable[[], int], between: Callable[[int], None], *, pts: bool
    ) -> None:
        self.pts = pts
        self.info = StreamInfo("fake", 4, 2, Fraction(25), count)
        self.undecoded = 0
        self.closed = False
        self._source_id, self._count, self._epoch, self._between = source_id, count, next_epoch(), between

    def __iter__(self) -> Iterator[Frame]:
        for seq in range(self._count):
            self._between(seq)
            surface = Surface("rgb24", (np.full((2, 4, 3), seq % 256, dtype=np.uint8),))
            pts, at_ns = seq if self.pts else None, seq * 40_000_000
            yield Frame(self._source_id, self._epoch, seq, pts, Fraction(1, 25), at_ns, "recording", 0, surface)

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeSources:
    """Opens fake readers; a source called `missing` is not there."""

    count: int = 50
    between: Callable[[int], None] = lambda seq: None
    pts: bool = True
    readers: list[FakeReader] = field(default_factory=list)

    def __call__(self, source: SourceConfig, *, next_epoch: Callable[[], int], access: Access) -> Reader:
        if source.source_id == "missing":
            raise SourceNotFound("missing: no such file")
        reader = FakeReader(source.source_id, self.count, next_epoch, self.between, pts=self.pts)
        self.readers.append(reader)
        return reader


@dataclass
class CountPixels:
    """One box whose side is the picture's brightness, so that a result proves which picture it came from."""

    before: Callable[[Batch], None] = lambda batch: None
    name: str = "detect"
    stateful: bool = False
    needs: frozenset[Field] = frozenset({"frames"})
    adds: frozenset[Field] = frozenset({"detections"})

    def __call__(self, batch: Batch) -> Batch:
        self.before(batch)
        return replace(batch, detections=tuple(self.box(frame) for frame in batch.frames))

    def box(self, frame: Frame) -> Detections:
        side = float(frame.surface.planes[0][0, 0, 0])
        box = np.array([[0, 0, side, side]], dtype=np.float32)
        return Detections.of(box, np.ones(1, np.float32), np.zeros(1, np.int32))


@dataclass
class OrderOfFrames:
    """A stateful stage that refuses a source's frames out of order."""

    name: str = "track"
    stateful: bool = True
    needs: frozenset[Field] = frozenset({"detections"})
    adds: frozenset[Field] = frozenset({"tracks"})
    last: dict[str, int] = field(default_factory=dict)

    def __call__(self, batch: Batch) -> Batch:
        for frame in batch.frames:
            assert frame.seq > self.last.get(frame.source_id, -1)
            self.last[frame.source_id] = frame.seq
        return replace(batch, tracks=tuple(Tracks.empty() for _ in batch.frames))


@dataclass
class FakeSink:
    """Remembers what it was given; the `failing`-th item is refused."""

    failing: int = -1
    name: str = "fake"
    needs_surface: bool = True
    items: list[FrameResult | Gap | SourceStatus] = field(default_factory=list)
    surfaces: list[Surface | None] = field(default_factory=list)
    closed: int = 0

    def write(self, item: FrameResult | Gap | SourceStatus, surface: Surface | None) -> None:
        if len(self.items) == self.failing:
            raise SinkError("disk full")
        self.items.append(item)
        self.surfaces.append(surface)

    def close(self) -> None:
        self.closed += 1


def engine(
    sources: Sequence[str | SourceConfig],
    *,
    opened: FakeSources,
    detect: CountPixels | None = None,
    sinks: Sequence[Sink] = (),
    lanes: int = 2,
    max_batch: int = 1,
    retry_seconds: float = 1.0,
) -> InlineEngine:
    def graph(_: PipelineConfig) -> Graph:
        stages = [detect or CountPixels(), OrderOfFrames()]
        return Graph(stages, classes=Classes(("box",)), model=ModelInfo("fake", "1"), lanes=lanes)

    supervisor = SupervisorConfig(retry_first_seconds=retry_seconds)
    batch = BatchConfig(max_batch=max_batch)
    config = check(PipelineConfig(sources=list(sources), batch=batch, supervisor=supervisor))
    return InlineEngine(config, open_source=opened, build_graph=graph, build_sinks=lambda _: sinks)


@pytest.mark.parametrize(("lanes", "max_batch"), [(1, 1), (2, 1), (3, 4)])
def test_every_frame_of_every_file_has_its_result_in_order(lanes: int, max_batch: int) -> None:
    with engine(["a=a.mp4", "b=b.mp4"], opened=FakeSources(), lanes=lanes, max_batch=max_batch) as running:
        items = list(running.items())
        statistics = running.statistics()
    for source_id in ("a", "b"):
        results = [item for item in items if item.source_id == source_id]
        assert [r.seq for r in results if isinstance(r, FrameResult)] == list(range(50))
        assert all(r.detections.boxes[0, 2] == r.seq for r in results if isinstance(r, FrameResult))
    for status in statistics.sources:
        assert (status.captured, status.resulted, status.in_flight, status.balance) == (50, 50, 0, 0)
        assert status.state == "ENDED"
        assert status.latency is not None


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"batch": BatchConfig(stale_ms=200)}, r"batch\.stale_ms is 200; .* 0 is needed \(engine local"),
        ({"sources": [SourceConfig(url="a.mp4", source_id="a", priority=3)]}, "priority of a is 3; .* and 1 is needed"),
    ],
)
def test_what_only_workers_know_is_refused(settings: dict[str, Any], told: str) -> None:
    config = check(PipelineConfig(**{"sources": ["a=a.mp4"], **settings}))
    with pytest.raises(ConfigError, match=told):
        InlineEngine(config, open_source=FakeSources(), build_graph=lambda _: None, build_sinks=lambda _: ())


def test_a_live_source_loses_old_frames_and_every_loss_is_declared() -> None:
    captured_all = threading.Event()

    def hold_first_batch(batch: Batch) -> None:
        if batch.frames[0].seq == 0:
            assert captured_all.wait(10)

    def tell_last(seq: int) -> None:
        if seq == 49:
            captured_all.set()

    source = SourceConfig(url="a.mp4", source_id="cam", realtime=True)
    detect = CountPixels(before=hold_first_batch)
    with engine([source], opened=FakeSources(between=tell_last, pts=False), detect=detect, lanes=1) as running:
        items = list(running.items())
        status = running.statistics().sources[0]
    covered: list[int] = []
    lost = 0
    for item in items:
        if isinstance(item, Gap):
            assert item.reason == "backlog"
            covered.extend(range(item.first_seq, item.last_seq + 1))
            lost += item.count
        else:
            covered.append(item.seq)
            assert item.gap_before == lost
            lost = 0
    assert covered == list(range(50))
    assert status.dropped["backlog"] > 0
    assert (status.captured, status.balance) == (50, 0)


def test_the_ledger_balances_at_every_instant() -> None:
    with engine(["a=a.mp4"], opened=FakeSources(count=30), lanes=2) as running:
        for _ in running.items():
            assert running.statistics().sources[0].balance == 0


def test_a_source_that_fails_harms_no_other_and_is_raised_at_the_end() -> None:
    results: list[FrameResult | Gap] = []
    with engine(["missing=x.mp4", "b=b.mp4"], opened=FakeSources()) as running:
        with pytest.raises(SourceNotFound, match="no such file"):
            results.extend(running.items())
        states = {status.source_id: status.state for status in running.statistics().sources}
    assert len(results) == 50
    assert states == {"missing": "NOT_FOUND", "b": "ENDED"}


def test_a_failed_batch_is_a_gap_and_the_next_frame_tells_of_it() -> None:
    def fail_third(batch: Batch) -> None:
        if batch.frames[0].seq == 3:
            raise MemoryError("no room")

    with engine(["a=a.mp4"], opened=FakeSources(count=6), detect=CountPixels(before=fail_third)) as running:
        items = list(running.items())
        status = running.statistics().sources[0]
    gaps = [item for item in items if isinstance(item, Gap)]
    assert [(g.first_seq, g.last_seq, g.reason) for g in gaps] == [(3, 3, "inference_error")]
    assert [item.gap_before for item in items if isinstance(item, FrameResult)] == [0, 0, 0, 1, 0]
    assert status.dropped == {"inference_error": 1}
    assert "no room" in status.message


def test_sinks_get_every_item_with_its_picture_and_a_full_disk_stops_only_the_sink() -> None:
    good, full = FakeSink(), FakeSink(failing=5)
    running = engine(["a=a.mp4"], opened=FakeSources(count=10), sinks=[good, full])
    with running, pytest.raises(SinkError, match="disk full"):
        list(running.items())
    assert [item.seq for item in good.items if isinstance(item, FrameResult)] == list(range(10))
    assert [int(s.planes[0][0, 0, 0]) for s in good.surfaces if s is not None] == list(range(10))
    assert len(full.items) == 5
    assert (good.closed, full.closed) == (1, 1)


def test_leaving_early_stops_reading_and_closes_the_reader() -> None:
    opened = FakeSources(count=10_000)
    with engine(["a=a.mp4"], opened=opened) as running:
        assert next(iter(running.items())).seq == 0
    assert opened.readers[0].closed
    assert not any(thread.name.startswith(("feed-", "lane")) for thread in threading.enumerate())


def test_a_camera_that_ends_is_opened_again_in_a_new_epoch_until_stopped() -> None:
    source = SourceConfig(url="rtsp://camera/a", source_id="cam")
    with engine([source], opened=FakeSources(count=3), retry_seconds=0.001) as running:
        covered: list[tuple[int, int]] = []
        for item in running.items():
            first, last = (item.first_seq, item.last_seq) if isinstance(item, Gap) else (item.seq, item.seq)
            covered.extend((item.epoch, seq) for seq in range(first, last + 1))
            if item.epoch >= 3:
                running.stop()
        status = running.statistics().sources[0]
    assert covered[:6] == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
    assert covered == sorted(set(covered))
    assert len(covered) == status.captured
    assert status.reconnects >= 2
    assert (status.state, status.balance, status.in_flight) == ("ENDED", 0, 0)


class LostDevice(CountPixels):
    def __call__(self, batch: Batch) -> Batch:
        raise DeviceLost("it fell off the bus")


def test_a_lost_device_ends_the_run_at_once() -> None:
    with engine(["a=a.mp4"], opened=FakeSources(), detect=LostDevice()) as running:
        with pytest.raises(DeviceLost, match="fell off the bus"):
            list(running.items())
        assert running.statistics().sources[0].resulted == 0
