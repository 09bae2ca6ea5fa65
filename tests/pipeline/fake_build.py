"""A builder for tests of the engines: readers that make frames up, and a graph whose results tell which frame it saw.

Sources and models say what they do in a query: ``clip.fake?frames=40&fps=0&undecoded=2&dies_at=9``
(``rtsp://fake?...`` for a camera, which never ends unless it has frames),
``model?delay_ms=5&fail_at=7&lost_at=9&load_ms=0&warm=3&refuse=1``.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from urllib.parse import parse_qsl

import numpy as np

from pipeline.config import PipelineConfig, PublishConfig, SourceConfig
from pipeline.errors import DeviceLost, ModelError, SourceNotFound, SourceUnauthorized, SourceUnreachable
from pipeline.graph import Graph
from pipeline.messages import Batch, Classes, Detections, Frame, ModelInfo, Surface
from pipeline.stage import Access, Field, Sink, StreamInfo
from pipeline.workers.builder import ResultPublisher, Watch


def settings_of(address: str) -> dict[str, float]:
    return {key: float(value) for key, value in parse_qsl(address.partition("?")[2])}


class FakeReader:
    """Frames whose luma is their number."""

    def __init__(self, source: SourceConfig, next_epoch: Callable[[], int]) -> None:
        settings = settings_of(source.url)
        self._source_id = source.source_id
        self._frames = int(settings.get("frames", 1_000_000))
        self._interval = 1 / settings["fps"] if settings.get("fps") else 0.0
        self._breaks_at = int(settings.get("breaks_at", -1))
        self._dies_at = int(settings.get("dies_at", -1))
        self._hangs_at = int(settings.get("hangs_at", -1))
        self._resizes_at = int(settings.get("resizes_at", -1))
        self._width = int(settings.get("width", 64))
        self._next_epoch = next_epoch
        self._epoch = next_epoch()
        self.undecoded = int(settings.get("undecoded", 0))
        self.damaged = int(settings.get("damaged", 0))
        self.received_bytes = 0

    @property
    def info(self) -> StreamInfo:
        return StreamInfo("fake", self._width, 48, Fraction(25), self._frames)

    def __iter__(self) -> Iterator[Frame]:
        due = time.monotonic()
        first = 0
        for number in range(self._frames):
            if self._interval:
                due += self._interval
                time.sleep(max(0.0, due - time.monotonic()))
            if number == self._breaks_at:
                raise SourceUnreachable(f"{self._source_id}: broke at frame {number}")
            if number == self._dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if number == self._hangs_at:
                time.sleep(3600)
            if number == self._resizes_at:
                self._width, self._epoch, first = self._width + 2, self._next_epoch(), number
            yield self._frame(number, number - first)

    def _frame(self, number: int, seq: int) -> Frame:
        now_ns = time.monotonic_ns()
        half = ((48 + 1) // 2, (self._width + 1) // 2)
        planes = tuple(np.full(shape, number % 256, dtype=np.uint8) for shape in ((48, self._width), half, half))
        return Frame(
            source_id=self._source_id,
            epoch=self._epoch,
            seq=seq,
            pts=number,
            time_base=Fraction(1, 25),
            capture_time_ns=time.time_ns(),
            clock="host",
            arrival_monotonic_ns=now_ns,
            surface=Surface("yuv420p", planes),
        )

    def close(self) -> None:
        pass


class LumaStage:
    """Detects one object a frame, whose width in pixels is the luma of the picture."""

    name = "luma"
    stateful = False
    needs: frozenset[Field] = frozenset({"frames"})
    adds: frozenset[Field] = frozenset({"detections"})

    def __init__(self, *, delay_seconds: float, fail_at: int, lost_at: int, warm: int) -> None:
        self._delay_seconds, self._fail_at, self._lost_at, self._warm = delay_seconds, fail_at, lost_at, warm

    def warm_up(self, tell: Callable[[str], None]) -> None:
        for step in range(1, self._warm + 1):
            tell(f"step {step} of {self._warm}")

    def __call__(self, batch: Batch) -> Batch:
        if self._delay_seconds:
            time.sleep(self._delay_seconds)
        if any(frame.seq == self._fail_at for frame in batch.frames):
            raise RuntimeError("this frame cannot be analysed")
        if any(frame.surface.planes[0][0, 0] == self._lost_at for frame in batch.frames):
            raise DeviceLost("the fake device fell off the bus")
        return batch.with_(detections=tuple(detection_of(frame.surface) for frame in batch.frames))


def detection_of(surface: Surface) -> Detections:
    luma = float(surface.planes[0][-1, -1])
    box = np.array([[0, 0, luma, 1]], dtype=np.float32)
    return Detections.of(box, np.ones(1, dtype=np.float32), np.zeros(1, dtype=np.int32))


def open_source(source: SourceConfig, *, next_epoch: Callable[[], int], access: Access) -> FakeReader:
    settings = settings_of(source.url)
    if settings.get("missing"):
        raise SourceNotFound(f"{source.source_id}: no such file")
    if settings.get("refused"):
        raise SourceUnauthorized(f"{source.source_id}: refused")
    return FakeReader(source, next_epoch)


def build_graph(config: PipelineConfig) -> Graph:
    settings = settings_of(config.detector_config.model)
    time.sleep(settings.get("load_ms", 0) / 1000)
    if settings.get("refuse"):
        raise ModelError("the fake model cannot be loaded")
    stage = LumaStage(
        delay_seconds=settings.get("delay_ms", 0) / 1000,
        fail_at=int(settings.get("fail_at", -1)),
        lost_at=int(settings.get("lost_at", -1)),
        warm=int(settings.get("warm", 0)),
    )
    lanes = int(settings.get("lanes", 2))
    return Graph([stage], classes=Classes(("thing",)), model=ModelInfo("fake", "1"), lanes=lanes, notes=["a fake"])


def build_sinks(config: PipelineConfig) -> list[Sink]:
    from pipeline.build import build_sinks as real

    return real(config)


def build_publisher(config: PublishConfig) -> ResultPublisher | None:
    from pipeline.build import build_publisher as real

    return real(config)


def build_zones(config: PipelineConfig) -> Watch | None:
    from pipeline.build import build_zones as real

    return real(config)
