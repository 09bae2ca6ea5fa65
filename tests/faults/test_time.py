"""Clocks that are wrong, that step, and that are not there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from fractions import Fraction
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.client import Subscriber
from pipeline.config import SourceConfig, check, parse
from pipeline.engines.local import LocalEngine
from pipeline.messages import Frame, FrameResult
from stages.decode.container import open_container
from stages.decode.reader import VideoReader
from stages.track.timeline import Timeline
from tests.cameras import (
    Behaviour,
    CameraClock,
    JumpTime,
    RtspCamera,
    TellTime,
    numbered_frames,
    numbered_video,
    read_number,
)
from tests.cameras.files import write_video
from tests.cameras.http_server import HttpCamera
from tests.cameras.reports import NS
from tests.reading import read_source

Cameras = Callable[..., RtspCamera]
Seen = Callable[[str], None]
PATIENCE_SECONDS = 90.0
MS = 1_000_000
HOUR = 3600 * NS
TRUE_NS = time.time_ns  # before any test makes it step
TS_WRAP_SECONDS = 2**33 / 90_000

NO_TIME = "PTS missing, jumping, wrapping"
TIME_GOES_ON = "capture time strictly later, raw PTS kept, jumps flagged, tracker dt > 0"


def largest_and_least_step_ms(frames: Sequence[Frame] | Sequence[FrameResult]) -> tuple[float, float]:
    """Of capture time, which must move forward; so must the tracker's, by no more than frames may be late here."""
    steps = [b.capture_time_ns - a.capture_time_ns for a, b in pairwise(frames)]
    assert min(steps) > 0
    timeline = Timeline()
    seconds = [timeline.advance(f.capture_time_ns, discontinuity=f.discontinuity) for f in frames]
    assert all(0 < b - a < PATIENCE_SECONDS for a, b in pairwise(seconds))
    return max(steps) / MS, min(steps) / MS


@pytest.mark.fault(NO_TIME, promise=TIME_GOES_ON)
def test_raw_h264_without_time_stamps(tmp_path: Path, seen: Seen) -> None:
    path = write_video(tmp_path / "raw.h264", numbered_frames(60, 160, 96), fps=25)
    reading = read_source(path)
    assert [frame.seq for frame in reading.frames] == list(range(60))
    assert {frame.pts for frame in reading.frames} == {None}
    largest, least = largest_and_least_step_ms(reading.frames)
    assert (largest, least) == (40, 40)
    seen(f"60 frames without PTS, steps of {least:g} ms")


@pytest.mark.fault(NO_TIME, promise=TIME_GOES_ON)
def test_raw_h264_from_a_camera(seen: Seen) -> None:
    pictures = [b"".join(b"\0\0\1" + nal for nal in unit.nals) for unit in numbered_video(90, 160, 96).units]
    with HttpCamera(pictures, content_type="video/h264", fps=100) as camera:
        frames = read_source(camera.url, max_frames=60).frames
    assert {(frame.clock, frame.pts, frame.discontinuity) for frame in frames} == {("host", None, False)}
    largest, least = largest_and_least_step_ms(frames)
    seen(f"60 frames by host, {least:.2f} to {largest:.1f} ms apart as they arrived")


@pytest.mark.fault(NO_TIME, promise=TIME_GOES_ON)
@pytest.mark.parametrize("seconds", [-7000.0, 7000.0])
def test_rtp_time_that_jumps(rtsp_camera: Cameras, seen: Seen, seconds: float) -> None:
    camera = rtsp_camera(numbered_video(200, 160, 96, fps=50), behaviour=JumpTime(seconds, after_frames=30))
    frames = read_source(camera.url, max_frames=60).frames
    raw = [frame.pts for frame in frames if frame.pts is not None]
    jumps = [b - a for a, b in pairwise(raw) if abs(b - a) > 10_000]
    assert jumps == [pytest.approx(seconds * 90_000, abs=10_000)]
    after = next(index for index, (a, b) in enumerate(pairwise(raw)) if b - a in jumps) + 1 + len(frames) - len(raw)
    assert frames[after].discontinuity
    assert {frame.epoch for frame in frames} == {1}
    largest, least = largest_and_least_step_ms(frames)
    assert largest < PATIENCE_SECONDS * 1000  # not 7000 s
    seen(f"jump of {seconds:+g} s flagged; steps of {least:.1f} to {largest:.1f} ms")


@pytest.mark.fault(NO_TIME, promise=TIME_GOES_ON)
def test_rtp_time_that_wraps(rtsp_camera: Cameras, seen: Seen) -> None:
    clock = CameraClock(first_timestamp=2**32 - 45_000)  # half a second before
    camera = rtsp_camera(numbered_video(200, 160, 96, fps=50), behaviour=Behaviour(clock=clock))
    frames = read_source(camera.url, max_frames=60).frames
    assert not any(frame.discontinuity for frame in frames)
    largest, least = largest_and_least_step_ms(frames)
    assert least == pytest.approx(20, abs=3)
    assert largest == pytest.approx(20, abs=3)
    seen(f"2^32 passed without a mark, steps of {least:.2f} to {largest:.2f} ms by rtcp")


@pytest.mark.fault(NO_TIME, promise=TIME_GOES_ON)
def test_a_transport_stream_that_wraps(tmp_path: Path, seen: Seen) -> None:
    offset = {"output_ts_offset": f"{TS_WRAP_SECONDS - 1.0:.6f}"}
    path = write_video(tmp_path / "wrap.ts", numbered_frames(60, 160, 96), fps=25, container_options=offset)
    frames = read_source(path).frames
    assert [read_number(frame.surface.planes[0]) for frame in frames] == list(range(60))
    largest, least = largest_and_least_step_ms(frames)
    assert (largest, least) == (pytest.approx(40, abs=0.1), pytest.approx(40, abs=0.1))
    seen(f"2^33 passed, steps of {least:.2f} to {largest:.2f} ms")


class SteppingClock:
    """A wall clock that is an hour wrong, now ahead and now behind, each time it is read."""

    def __init__(self) -> None:
        self.reads = count()

    def __call__(self) -> int:
        return TRUE_NS() + HOUR * (-1) ** next(self.reads)


STEPS = "wall clock steps ±1 h"


@pytest.mark.fault(STEPS, promise="no capture time and no deadline of an open source changes")
def test_a_reader_whose_wall_clock_steps(rtsp_camera: Cameras, seen: Seen) -> None:
    camera = rtsp_camera(numbered_video(200, 160, 96, fps=50), behaviour=TellTime(lambda report: ()))
    source = SourceConfig(url=camera.url, source_id="cam")
    wall = SteppingClock()
    opened = open_container(source, camera.url)
    with closing(
        VideoReader(opened, source=source, address=camera.url, next_epoch=count(1).__next__, wall_ns=wall)
    ) as reader:
        frames = [frame for frame, _ in zip(reader, range(60), strict=False)]
    assert {(frame.clock, frame.epoch, frame.discontinuity) for frame in frames} == {("pts", 1, False)}
    largest, least = largest_and_least_step_ms(frames)
    assert largest < PATIENCE_SECONDS * 1000
    assert abs(frames[0].capture_time_ns - TRUE_NS() - HOUR) < 600 * NS
    seen(f"steps of {least:.1f} to {largest:.1f} ms; the wall clock was read {next(wall.reads)} time")


@contextmanager
def running(tmp_path: Path, *sources: str, builder: str = "tests.pipeline.numbered_build") -> Iterator[LocalEngine]:
    settings: dict[str, Any] = {
        "sources": list(sources),
        "publish": {"bind": "tcp://127.0.0.1:*"},
        "supervisor": {"state_directory": str(tmp_path), "retry_first_seconds": 0.2, "retry_max_seconds": 1},
    }
    with closing(LocalEngine(check(parse(settings)), builder=builder)) as engine:
        engine.start()
        yield engine


def results_of(
    engine: LocalEngine,
    source_ids: Sequence[str],
    *,
    enough: int,
    epochs: int = 1,
    first: threading.Event | None = None,
) -> dict[str, list[FrameResult]]:
    """Results of each source, at least so many of every one, and of so many epochs; `first` is set with the first."""
    results: dict[str, list[FrameResult]] = {source_id: [] for source_id in source_ids}
    deadline = time.monotonic() + PATIENCE_SECONDS
    with Subscriber(engine.address, topics=[f"{source_id}/all" for source_id in source_ids]) as subscriber:
        for item in subscriber.items():
            assert time.monotonic() < deadline, engine.complaints
            if isinstance(item, FrameResult):
                results[item.source_id].append(item)
                if first is not None:
                    first.set()
            begun = min(len({result.epoch for result in of_source}) for of_source in results.values())
            if begun >= epochs and min(map(len, results.values())) >= enough:
                break
    return results


@pytest.mark.fault(STEPS, promise="no spurious restart, nothing lost; time goes on")
def test_a_pipeline_whose_wall_clocks_step(
    rtsp_camera: Cameras, tmp_path: Path, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = rtsp_camera(numbered_video(300, 160, 96), behaviour=TellTime(lambda report: ()))
    monkeypatch.setattr(time, "time_ns", SteppingClock())
    monkeypatch.setattr(time, "time", lambda: time.time_ns() / NS)
    with running(tmp_path, f"door={camera.url}", builder="tests.faults.stepping_build") as engine:
        results = results_of(engine, ["door"], enough=75)["door"]
        status = engine.statistics().sources[0]
        assert not engine.complaints
    assert (status.reconnects, status.balance) == (0, 0)
    assert {result.epoch for result in results} == {1}
    assert camera.statistics.requests["PLAY"] == 1
    _, least = largest_and_least_step_ms(results)
    seen(f"{len(results)} results in one epoch, 0 reconnects; least step {least:.1f} ms")


@pytest.mark.fault("two cameras with RTCP and a known offset", promise="their times agree within one frame")
def test_two_cameras_agree(rtsp_camera: Cameras, tmp_path: Path, seen: Seen) -> None:
    """The yard's clock is 1.5 s ahead of the door's; nothing else may tell their frames of one instant apart."""
    ahead = {"door": 0.0, "yard": 1.5}
    fps = Fraction(30_000, 1001)
    video = numbered_video(600, 160, 96, fps=fps)
    behaviours = {name: Behaviour(clock=CameraClock(offset_seconds=ahead[name])) for name in ahead}
    urls = {name: rtsp_camera(video, behaviour=behaviours[name]).url for name in ahead}
    with running(tmp_path, *(f"{name}={url}" for name, url in urls.items())) as engine:
        results = results_of(engine, list(ahead), enough=60)
    errors_ms = {}
    for name, behaviour in behaviours.items():
        assert {result.clock for result in results[name]} == {"rtcp"}
        (began_ns,) = behaviour.began_ns
        true_ns = began_ns - round(ahead[name] * NS)
        numbers = [int(result.detections.boxes[0, 2]) for result in results[name]]
        taken_ns = [true_ns + int(number * NS / fps) for number in numbers]
        told_ns = [result.capture_time_ns - round(ahead[name] * NS) for result in results[name]]
        errors_ms[name] = np.subtract(told_ns, taken_ns) / MS
    both = np.concatenate(list(errors_ms.values()))
    apart_ms = float(both.max() - both.min())
    assert apart_ms < 1000 / fps
    seen(f"{len(both)} frames of one instant at most {apart_ms:.3f} ms apart; a frame lasts {float(1000 / fps):.1f} ms")


@pytest.mark.fault("a camera's clock is an hour behind", promise="believed in a new epoch: time goes not back")
def test_a_slow_clock_through_a_pipeline(rtsp_camera: Cameras, tmp_path: Path, seen: Seen) -> None:
    first = threading.Event()
    slow = CameraClock(offset_seconds=-3600, report_seconds=0.4)
    behaviour = TellTime(lambda report: (report,) if first.is_set() else (), clock=slow)
    camera = rtsp_camera(numbered_video(600, 160, 96), behaviour=behaviour)
    with running(tmp_path, f"door={camera.url}") as engine:
        results = results_of(engine, ["door"], enough=75, epochs=2, first=first)["door"]
        assert not engine.complaints
        assert engine.statistics().sources[0].reconnects == 0
        engine.stop()
        assert engine.statistics().sources[0].balance == 0
    by_epoch = [[result for result in results if result.epoch == epoch] for epoch in (1, 2)]
    assert [[result.clock for result in epoch][-1] for epoch in by_epoch] == ["pts", "rtcp"]
    assert sum(map(len, by_epoch)) == len(results)
    for epoch in by_epoch:
        largest_and_least_step_ms(epoch)
    back = by_epoch[0][-1].capture_time_ns - by_epoch[1][0].capture_time_ns
    assert back == pytest.approx(HOUR, rel=0.01)
    seen(f"{len(by_epoch[0])} results by pts in epoch 1, then by rtcp in epoch 2, {back / NS:.0f} s earlier")
