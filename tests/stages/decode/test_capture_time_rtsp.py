"""The capture times of frames from scripted cameras that report their own clocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise

import pytest

from pipeline.messages import Frame
from tests.cameras import Behaviour, CameraClock, Report, RtspCamera, TellTime, numbered_video, read_number
from tests.cameras.reports import NS
from tests.reading import Reading, read_source

Cameras = Callable[..., RtspCamera]
MS = 1_000_000
FPS = 50
FRAME_NS = NS // FPS
VIDEO = {"count": 300, "width": 160, "height": 96, "fps": FPS}


def read(
    rtsp_camera: Cameras, behaviour: Behaviour, count: int, *, transport: str = "tcp", b_frames: int = 0
) -> Reading:
    camera = rtsp_camera(numbered_video(**VIDEO, b_frames=b_frames), behaviour=behaviour)
    return read_source(camera.url, transport=transport, max_frames=count)


def errors_ns(frames: Iterable[Frame], began_ns: int) -> list[int]:
    """How far each frame's time is from when the camera took the picture, by the camera's own clock."""
    numbers = [(frame, read_number(frame.surface.planes[0])) for frame in frames]
    return [abs(frame.capture_time_ns - began_ns - n * FRAME_NS) for frame, n in numbers if n is not None]


@pytest.mark.parametrize(
    ("transport", "b_frames", "clock"),
    [
        ("tcp", 0, CameraClock()),
        ("udp", 0, CameraClock(offset_seconds=-4)),
        ("tcp", 2, CameraClock(offset_seconds=6, drift_ppm=20_000, report_seconds=0.5)),
        ("tcp", 0, CameraClock(first_timestamp=2**32 - 45_000, report_seconds=0.4)),  # wraps after half a second
        ("udp", 2, CameraClock(first_timestamp=2**31 - 45_000, report_seconds=0.4)),
    ],
    ids=["right", "slow, UDP", "drifting, B-frames", "RTP time wraps", "sign of RTP time changes"],
)
def test_frames_have_the_time_that_the_camera_reports(
    rtsp_camera: Cameras, transport: str, b_frames: int, clock: CameraClock
) -> None:
    behaviour = Behaviour(clock=clock)
    frames = read(rtsp_camera, behaviour, 80, transport=transport, b_frames=b_frames).frames
    later = frames[10:]  # over UDP the first picture may overtake the first report
    assert {frame.clock for frame in later} == {"rtcp"}
    assert not any(frame.discontinuity for frame in later)
    assert max(errors_ns(later, behaviour.began_ns[0])) < 2 * MS
    assert {frame.epoch for frame in frames} == {1}


def test_the_first_frame_has_it_too(rtsp_camera: Cameras) -> None:
    behaviour = Behaviour(clock=CameraClock(offset_seconds=3))
    frames = read(rtsp_camera, behaviour, 5).frames
    assert [(frame.clock, frame.discontinuity) for frame in frames] == [("rtcp", False)] * 5
    assert max(errors_ns(frames, behaviour.began_ns[0])) < 2 * MS
    assert frames[0].pts is None  # FFmpeg's parser lost it; the raw value is kept


def test_before_the_first_report_time_is_by_arrival(rtsp_camera: Cameras) -> None:
    behaviour = Behaviour(clock=CameraClock(first_report_seconds=0.6))
    frames = read(rtsp_camera, behaviour, 100).frames
    change = next(index for index, frame in enumerate(frames) if frame.clock == "rtcp")
    assert change >= 30
    assert [frame.clock for frame in frames] == ["pts"] * change + ["rtcp"] * (100 - change)
    assert [index for index, frame in enumerate(frames) if frame.discontinuity] == [change]
    assert all(after.capture_time_ns > before.capture_time_ns for before, after in pairwise(frames))
    assert max(errors_ns(frames[change:], behaviour.began_ns[0])) < 2 * MS


def test_a_clock_that_is_an_hour_slow_starts_an_epoch_when_it_is_believed(rtsp_camera: Cameras) -> None:
    behaviour = Behaviour(clock=CameraClock(offset_seconds=-3600, report_seconds=0.2))
    reading = read(rtsp_camera, behaviour, 80)
    by_epoch = {epoch: [frame for frame in reading.frames if frame.epoch == epoch] for epoch in (1, 2)}
    assert len(by_epoch[1]) + len(by_epoch[2]) == 80
    assert [frame.seq for frame in by_epoch[2]] == list(range(len(by_epoch[2])))
    assert {frame.clock for frame in by_epoch[1]} == {"pts"}
    assert {frame.clock for frame in by_epoch[2]} == {"rtcp"}
    assert max(errors_ns(by_epoch[2], behaviour.began_ns[0])) < 2 * MS


def no_clock(report: Report) -> Iterable[Report]:
    return [replace(report, wall_ns=None)]


def of_1970(report: Report) -> Iterable[Report]:
    return [replace(report, wall_ns=report.number * NS)]


def of_1900(report: Report) -> Iterable[Report]:
    return [replace(report, wall_ns=-2_208_988_799 * NS)]


def silent(report: Report) -> Iterable[Report]:
    return []


def wild(report: Report) -> Iterable[Report]:
    return [replace(report, wall_ns=(report.wall_ns or 0) + (-1) ** report.number * (report.number + 1) * 1800 * NS)]


@pytest.mark.parametrize("told", [no_clock, of_1970, of_1900, silent, wild])
def test_reports_that_say_nothing_leave_the_clock_at_pts(
    rtsp_camera: Cameras, told: Callable[[Report], Iterable[Report]]
) -> None:
    behaviour = TellTime(told, clock=CameraClock(report_seconds=0.1))
    frames = read(rtsp_camera, behaviour, 40).frames
    assert {frame.clock for frame in frames} == {"pts"}
    assert not any(frame.discontinuity for frame in frames)
    # A starved machine delays arrivals, which is all there is to go by.
    assert max(errors_ns(frames, behaviour.began_ns[0])) < 2 * NS
    assert {frame.epoch for frame in frames} == {1}


def another_streams(report: Report) -> Iterable[Report]:
    """Every other report is of another SSRC, whose RTP time has nothing to do with the video's."""
    return [replace(report, ssrc=0xBAD, timestamp=report.timestamp + 2**30)] if report.number % 2 else [report]


def hours_off_now_and_then(report: Report) -> Iterable[Report]:
    off = 5 * 3600 * NS if report.number % 3 == 1 else -5 * 3600 * NS if report.number % 3 == 2 else 0
    return [replace(report, wall_ns=(report.wall_ns or 0) + off)]


@pytest.mark.parametrize("told", [another_streams, hours_off_now_and_then])
def test_odd_reports_among_right_ones_are_passed_over(
    rtsp_camera: Cameras, told: Callable[[Report], Iterable[Report]]
) -> None:
    behaviour = TellTime(told, clock=CameraClock(report_seconds=0.1))
    frames = read(rtsp_camera, behaviour, 80).frames
    assert {frame.clock for frame in frames} == {"rtcp"}
    assert not any(frame.discontinuity for frame in frames)
    assert max(errors_ns(frames, behaviour.began_ns[0])) < 2 * MS


def another_streams_first(report: Report) -> Iterable[Report]:
    return another_streams(replace(report, number=report.number + 1))


def test_an_odd_report_that_comes_first_is_not_believed(rtsp_camera: Cameras) -> None:
    behaviour = TellTime(another_streams_first, clock=CameraClock(report_seconds=0.2))
    frames = read(rtsp_camera, behaviour, 80).frames
    change = next(index for index, frame in enumerate(frames) if frame.clock == "rtcp")
    assert change >= 5
    assert [frame.clock for frame in frames] == ["pts"] * change + ["rtcp"] * (80 - change)
    assert {frame.epoch for frame in frames} == {1}
    assert max(errors_ns(frames[change:], behaviour.began_ns[0])) < 2 * MS
