"""Streams that change while they are read: size, parameter sets, codec, order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.client import Subscriber
from pipeline.errors import SourceUnreachable
from pipeline.messages import FrameResult
from tests.cameras import Behaviour, ChangeVideo, HangUpAfter, numbered_frames, numbered_video, read_number
from tests.cameras.files import write_video
from tests.faults.fixtures import Cameras, Seen, Watch
from tests.reading import Reading, read_source

TRANSPORTS = ["tcp", "udp"]
COMPILE_SECONDS = 400.0


def numbers_of(reading: Reading) -> list[int | None]:
    return [read_number(frame.surface.planes[0]) for frame in reading.frames]


@pytest.mark.fault("picture size changes mid-stream", promise="new epoch, right pictures from the first new frame")
@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_change_of_size_starts_an_epoch(rtsp_camera: Cameras, seen: Seen, transport: str, codec: str) -> None:
    first = numbered_video(20, 320, 240, fps=100, codec=codec)
    second = numbered_video(20, 160, 96, fps=100, first=500, codec=codec)
    camera = rtsp_camera(first, behaviour=ChangeVideo(second, after_frames=20, loop=False))
    reading = read_source(camera.url, transport=transport)
    assert reading.sequence == [(1, i) for i in range(20)] + [(2, i) for i in range(20)]
    assert numbers_of(reading) == [*range(20), *range(500, 520)]
    assert {(f.epoch, f.width, f.height) for f in reading.frames} == {(1, 320, 240), (2, 160, 96)}
    assert (reading.info.width, reading.info.height) == (160, 96)
    seen(f"{codec}, {transport}: 20 frames of 320x240 in epoch 1, 20 of 160x96 in epoch 2, none lost, none wrong")


@pytest.mark.fault("SPS changes mid-stream, size stays", promise="the epoch goes on, every picture is right")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_other_parameter_sets(rtsp_camera: Cameras, seen: Seen, transport: str) -> None:
    first = numbered_video(20, 320, 240, fps=100)
    second = numbered_video(20, 320, 240, fps=100, first=500, b_frames=2)
    assert first.sps != second.sps
    camera = rtsp_camera(first, behaviour=ChangeVideo(second, after_frames=20, loop=False))
    reading = read_source(camera.url, transport=transport)
    assert numbers_of(reading) == [*range(20), *range(500, 520)]
    assert reading.sequence == [(1, i) for i in range(40)]
    seen(f"{transport}: 40 frames of one epoch across a new SPS, all right")


@pytest.mark.fault("codec changes", promise="the watchdog ends the session; the next one has the new codec")
def test_another_codec_within_a_session(rtsp_camera: Cameras, seen: Seen) -> None:
    """RTP goes on as if nothing were, in a codec that only a new DESCRIBE would tell."""
    old, new = numbered_video(20, fps=100), numbered_video(50, fps=100, codec="h265")
    camera = rtsp_camera(old, behaviour=ChangeVideo(new, after_frames=20))
    reading = read_source(camera.url, read_timeout_seconds=1.5)
    assert isinstance(reading.fault, SourceUnreachable)
    assert numbers_of(reading) == list(range(20))
    assert reading.undecoded > 0
    camera.add(new, path="/stream")
    again = read_source(camera.url, max_frames=10)
    assert (again.info.codec, numbers_of(again)) == ("hevc", list(range(10)))
    seen(f"20 frames of h264, {reading.undecoded} packets undecoded, {reading.fault.state}; then hevc, frame 0 first")


@pytest.mark.fault("codec changes", promise="reconnects and resumes")
def test_another_codec_after_a_hang_up(rtsp_camera: Cameras, seen: Seen) -> None:
    camera = rtsp_camera(numbered_video(20, fps=100, codec="h265"), behaviour=HangUpAfter(20))
    first = read_source(camera.url)
    camera.add(numbered_video(20, fps=100), path="/stream")
    second = read_source(camera.url, max_frames=10)
    assert (first.info.codec, second.info.codec) == ("hevc", "h264")
    assert numbers_of(first) == list(range(20))
    assert numbers_of(second) == list(range(10))
    seen("hevc, hang-up, h264: all frames of both")


@pytest.mark.fault("B-frames", promise="presentation order, none lost")
@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_b_frames_of_a_camera(rtsp_camera: Cameras, seen: Seen, transport: str, codec: str) -> None:
    video = numbered_video(40, fps=100, b_frames=2, codec=codec)
    assert [unit.presented for unit in video.units] != list(range(40))
    reading = read_source(rtsp_camera(video, behaviour=Behaviour(loop=False)).url, transport=transport)
    assert numbers_of(reading) == list(range(40))
    assert reading.sequence == [(1, i) for i in range(40)]
    seen(f"{codec}, {transport}: 40 frames sent out of order, 40 handed out in order")


@pytest.mark.fault("B-frames", promise="presentation order, none lost")
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_b_frames_of_a_file(tmp_path: Path, seen: Seen, suffix: str) -> None:
    options = {"bf": "3", "b-adapt": "0", "preset": "veryfast"}
    path = write_video(tmp_path / f"order.{suffix}", numbered_frames(48, 320, 240), options=options)
    reading = read_source(path)
    assert numbers_of(reading) == list(range(48))
    assert reading.undecoded == 0
    seen(f"{suffix}: 48 of 48 in order")


@pytest.mark.fault("picture size changes mid-stream", promise="tracker reset; coordinates of the new picture only")
def test_no_result_has_coordinates_of_another_size(rtsp_camera: Cameras, watched: Watch, seen: Seen) -> None:
    """A detector that finds the whole picture: its box tells which picture it was, that of a track too."""
    first = numbered_video(50, 320, 240)
    second = numbered_video(50, 160, 96, first=500)
    camera = rtsp_camera(first, behaviour=ChangeVideo(second, after_frames=75))
    results: list[FrameResult] = []
    run = watched(f"yard={rtsp_camera(first).url}", builder="tests.faults.tracking_build")
    # Compiled for the first time, the tracker takes longer than the camera shows its first video.
    run.until(lambda now: now["yard"].resulted > 0, seconds=COMPILE_SECONDS)
    with Subscriber(run.engine.address, topics=["door/all"]) as subscriber:
        run.engine.add_source(f"door={camera.url}")
        for item in subscriber.items():
            if isinstance(item, FrameResult):
                results.append(item)
            if len([result for result in results if result.width == 160]) >= 20:
                break
    assert len({result.epoch for result in results if result.width == 320}) == 1
    assert len({result.epoch for result in results}) == 2
    for result in results:
        whole = (0, 0, result.width, result.height)
        assert tuple(result.detections.boxes[0]) == whole
        assert np.allclose(result.tracks.boxes, whole, atol=1)
    sizes = [(result.width, result.height) for result in results]
    new = results[sizes.index((160, 96)) :]
    assert (new[0].seq, len(new[0].tracks)) == (0, 1)
    assert set(sizes) == {(320, 240), (160, 96)}
    seen(f"{len(results) - len(new)} results of 320x240, {len(new)} of 160x96: every box and track in its own picture")


@pytest.mark.fault("codec changes", promise="reconnects and resumes")
def test_a_run_goes_on_in_another_codec(rtsp_camera: Cameras, watched: Watch, seen: Seen) -> None:
    """The camera is given another codec in its settings, and goes on sending to whom it sent before."""
    old, new = numbered_video(50), numbered_video(50, codec="h265")
    camera = rtsp_camera(old, behaviour=ChangeVideo(new, after_frames=50))
    run = watched({"url": camera.url, "source_id": "door", "read_timeout_seconds": 3.0}, retry_first_seconds=0.2)
    run.until(lambda now: now["door"].codec == "h264" and now["door"].captured > 0)
    camera.add(new, path="/stream")
    took = run.until(lambda now: now["door"].codec == "hevc" and now["door"].state == "STREAMING")
    status = run.status("door")
    assert status.undecoded > 0
    seen(f"{took:.1f} s from the first frame of h264 to hevc; {status.undecoded} packets undecoded in between")
