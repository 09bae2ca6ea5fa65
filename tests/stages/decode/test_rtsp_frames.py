"""RTSP from the scripted camera: frames in order, without delay, over TCP and UDP, through changes and losses."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from pipeline.errors import SourceUnreachable
from tests.cameras import (
    Behaviour,
    ChangeVideo,
    LosePackets,
    RtspCamera,
    StallAfter,
    TellTime,
    encode_h264,
    numbered_frames,
    numbered_video,
    read_number,
)
from tests.cameras.rtp import MAX_PAYLOAD
from tests.reading import Reading, read_source

Cameras = Callable[..., RtspCamera]
TRANSPORTS = ["tcp", "udp"]


def numbers_of(reading: Reading) -> list[int | None]:
    return [read_number(frame.surface.planes[0]) for frame in reading.frames]


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_frame_comes_in_order(rtsp_camera: Cameras, transport: str, b_frames: int) -> None:
    video = numbered_video(40, fps=100, b_frames=b_frames)
    camera = rtsp_camera(video, behaviour=Behaviour(loop=False))
    reading = read_source(camera.url, transport=transport)
    assert numbers_of(reading) == list(range(40))
    assert reading.sequence == [(1, i) for i in range(40)]
    assert reading.undecoded == 0
    assert isinstance(reading.fault, SourceUnreachable)
    assert "closed the connection after 40 frames" in str(reading.fault)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_large_pictures_come_whole(rtsp_camera: Cameras, transport: str) -> None:
    """Keyframes of a hundred packets each: fragments are put together again."""
    noise = np.random.default_rng(0).integers(0, 256, (720 - 2 * 72, 1280, 3), dtype=np.uint8)
    pictures = list(numbered_frames(8, 1280, 720))
    for number, picture in enumerate(pictures):
        picture[2 * 72 :] = np.roll(noise, 8 * number, axis=1)
    video = encode_h264(pictures, keyframe_interval=3)
    assert max(unit.nbytes for unit in video.units) > 100 * MAX_PAYLOAD
    camera = rtsp_camera(video, behaviour=Behaviour(loop=False))
    assert numbers_of(read_source(camera.url, transport=transport)) == list(range(8))


@pytest.mark.parametrize("scheme", ["digest", "basic"])
def test_credentials_of_any_characters_are_understood(rtsp_camera: Cameras, scheme: str) -> None:
    camera = rtsp_camera(numbered_video(5, fps=100), user="ad min", password="p@ss/w:rd?#%", scheme=scheme)
    assert len(read_source(camera.url, max_frames=5).frames) == 5


def test_the_decoder_holds_nothing_back(rtsp_camera: Cameras) -> None:
    """Of ten pictures sent, nine arrive before the camera falls silent.

    The tenth waits in FFmpeg's parser for the start of the next one, and comes when the timeout says that none will.
    """
    camera = rtsp_camera(numbered_video(20, fps=50), behaviour=StallAfter(10))
    reading = read_source(camera.url, read_timeout_seconds=1.5)
    arrivals = [frame.arrival_monotonic_ns / 1e9 for frame in reading.frames]
    assert len(arrivals) == 10
    assert arrivals[8] - arrivals[0] < 1.0
    assert arrivals[9] - arrivals[8] > 1.0


def test_the_first_frame_needs_no_second_of_probing(rtsp_camera: Cameras) -> None:
    """A camera of two frames a second: FFmpeg's own settings would gather many before they gave the first."""
    camera = rtsp_camera(numbered_video(20, fps=2), behaviour=StallAfter(2))
    reading = read_source(camera.url, max_frames=1, open_timeout_seconds=5)
    assert numbers_of(reading) == [0]


def test_a_picture_that_grows_beyond_what_is_allowed_gives_no_frame(rtsp_camera: Cameras) -> None:
    behaviour = ChangeVideo(numbered_video(20, 640, 480, fps=100), after_frames=20, loop=False)
    camera = rtsp_camera(numbered_video(20, 320, 240, fps=100), behaviour=behaviour)
    reading = read_source(camera.url, max_pixels=640 * 480 - 1)
    assert len(reading.frames) == 20
    assert reading.undecoded == 20


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_lost_packets_cost_their_own_frames(rtsp_camera: Cameras, transport: str) -> None:
    camera = rtsp_camera(numbered_video(60, fps=100, keyframe_interval=5), behaviour=LosePackets(0.05, seed=3))
    reading = read_source(camera.url, transport=transport, max_frames=100)
    assert reading.sequence == [(1, i) for i in range(100)]
    stamps = [frame.pts for frame in reading.frames[1:] if frame.pts is not None]
    assert stamps == sorted(set(stamps))
    sent = [round(pts / 900) % 60 for pts in stamps]  # 900 ticks a picture at 100 a second
    right = [number == expected for number, expected in zip(numbers_of(reading)[1:], sent, strict=True)]
    assert 0.9 < sum(right) / len(right) < 1  # a loss shows until the next keyframe, and no longer


def test_times_follow_the_cameras_time_stamps(rtsp_camera: Cameras) -> None:
    behaviour = TellTime(lambda report: (), loop=False)  # that it reports: test_capture_time_rtsp.py
    camera = rtsp_camera(numbered_video(40, fps=50), behaviour=behaviour)
    frames = read_source(camera.url).frames
    assert {frame.clock for frame in frames} == {"pts"}
    steps_ms = [(b.capture_time_ns - a.capture_time_ns) / 1e6 for a, b in pairwise(frames)]
    assert all(10 <= step <= 30 for step in steps_ms[1:])  # the first frame has no time stamp, only an arrival
    assert not any(frame.discontinuity for frame in frames)
    assert [frame.pts for frame in frames if frame.pts is not None] == pytest.approx(
        [1800 * i for i in range(1, 40)], abs=90
    )


def test_two_paths_of_one_camera_and_two_readers_of_one_path(rtsp_camera: Cameras) -> None:
    camera = rtsp_camera(numbered_video(30, fps=100), path="/a")
    other = camera.add(numbered_video(30, 160, 96, fps=100, first=900), path="/b/c", user="u", password="p")
    assert numbers_of(read_source(other, max_frames=3))[0] == 900
    assert numbers_of(read_source(camera.url, max_frames=3))[0] == 0
    assert numbers_of(read_source(camera.url, max_frames=3))[0] == 0
    assert camera.statistics.connections == 6  # it is called on before each


def test_the_password_may_come_from_the_environment(rtsp_camera: Cameras, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = rtsp_camera(numbered_video(5, fps=100), user="admin", password="canary")
    monkeypatch.setenv("CAM", "canary")
    url = camera.url.replace("canary", "${CAM}")
    assert len(read_source(url, max_frames=2).frames) == 2
