"""Packets that are damaged, lost or late: no crash, no hang, what gave no frame counted, the rest numbered in order."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.cameras import (
    CorruptPackets,
    DoublePackets,
    LosePackets,
    ReorderPackets,
    numbered_video,
    read_number,
)
from tests.faults.fixtures import Cameras, Seen, Watch
from tests.reading import Reading, read_source

TRANSPORTS = ["tcp", "udp"]
FRAMES = 150
TRIES = 5  # FFmpeg waits 0.1 s for a datagram that was overtaken; a machine that others use may send it later


def right(reading: Reading) -> int:
    """How many frames carry the number their time stamp stands for."""
    stamped = [frame for frame in reading.frames if frame.pts is not None]
    return sum(
        read_number(frame.surface.planes[0]) == round(frame.pts / 900) % FRAMES  # 900 ticks a picture at 100 a second
        for frame in stamped
        if frame.pts is not None
    )


def read_all(camera_url: str, transport: str) -> Reading:
    reading = read_source(camera_url, transport=transport, read_timeout_seconds=2)
    assert reading.fault is not None  # a SourceError: nothing else is let through
    # A damaged parameter set may declare another size for a picture, which has an epoch of its own then.
    for (epoch, seq), after in pairwise(reading.sequence):
        assert after in ((epoch, seq + 1), (epoch + 1, 0))
    stamps = [frame.capture_time_ns for frame in reading.frames]
    assert stamps == sorted(set(stamps))
    return reading


@pytest.mark.fault("corrupt packets, UDP loss and reorder", promise="no crash; only our errors; heals at a keyframe")
@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_damaged_packets(rtsp_camera: Cameras, seen: Seen, transport: str, codec: str) -> None:
    video = numbered_video(FRAMES, fps=100, keyframe_interval=5, codec=codec)
    camera = rtsp_camera(video, behaviour=CorruptPackets(0.1, seed=7, loop=False))
    reading = read_all(camera.url, transport)
    assert len(reading.frames) + reading.undecoded >= 0.8 * FRAMES
    assert right(reading) > 0.5 * FRAMES
    if codec == "h264":  # of H.265 FFmpeg does not tell
        assert 0 < reading.damaged < len(reading.frames)
    seen(
        f"{codec}, {transport}, 10 % of packets damaged: {len(reading.frames)} of {FRAMES} frames, {right(reading)} of"
        f" them right, {reading.damaged} told to be damaged, {reading.undecoded} packets counted as undecoded"
    )


@pytest.mark.fault("corrupt packets, UDP loss and reorder", promise="damaged pictures are results, and counted")
def test_damaged_pictures_are_counted(rtsp_camera: Cameras, watched: Watch, seen: Seen) -> None:
    video = numbered_video(FRAMES, fps=100, keyframe_interval=5)
    whole, bad = rtsp_camera(video), rtsp_camera(video, behaviour=CorruptPackets(0.1, seed=7, loop=False))
    run = watched(f"whole={whole.url}", f"bad={bad.url}", retry_first_seconds=0.1)
    run.until(lambda now: now["bad"].reconnects > 0)
    first = run.status("bad").damaged
    assert first > 0
    run.until(lambda now: now["bad"].damaged > first)  # the count goes on where the last connection left it
    run.until(lambda now: now["whole"].resulted > FRAMES)
    now = run.now()
    assert now["whole"].damaged == 0
    assert now["bad"].dropped.get("decode_error", 0) == 0
    assert now["bad"].captured - now["bad"].in_flight >= now["bad"].damaged
    seen(f"{now['bad'].damaged} of {now['bad'].captured} frames; of an undamaged camera's {now['whole'].captured}: 0")


@pytest.mark.fault("corrupt packets, UDP loss and reorder", promise="no crash; only our errors; heals at a keyframe")
@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_lost_datagrams(rtsp_camera: Cameras, seen: Seen, rate: float, codec: str) -> None:
    video = numbered_video(FRAMES, fps=100, keyframe_interval=5, codec=codec)
    reading = read_all(rtsp_camera(video, behaviour=LosePackets(rate, seed=3, loop=False)).url, "udp")
    assert 0.2 * (1 - rate) * FRAMES < len(reading.frames) <= FRAMES
    seen(
        f"{codec}, {rate:.0%} lost: {len(reading.frames)} of {FRAMES} frames, {right(reading)} of them right,"
        f" {reading.undecoded} packets counted as undecoded"
    )


@pytest.mark.fault("corrupt packets, UDP loss and reorder", promise="datagrams that overtake others are put in order")
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_datagrams_out_of_order(rtsp_camera: Cameras, seen: Seen, codec: str) -> None:
    video = numbered_video(FRAMES, fps=100, keyframe_interval=5, codec=codec)
    for _ in range(TRIES):
        reading = read_all(rtsp_camera(video, behaviour=ReorderPackets(4, loop=False)).url, "udp")
        numbers = [read_number(frame.surface.planes[0]) for frame in reading.frames]
        if numbers == list(range(FRAMES)):
            break
    assert numbers == list(range(FRAMES))
    assert reading.undecoded == 0
    seen(f"{codec}, every 4 datagrams shuffled: {len(reading.frames)} of {FRAMES} frames, all right, in order")


@pytest.mark.fault("corrupt packets, UDP loss and reorder", promise="no crash; only our errors; heals at a keyframe")
def test_datagrams_that_come_twice(rtsp_camera: Cameras, seen: Seen) -> None:
    """FFmpeg takes the second of two equal datagrams for a late one, and may drop a good one for it."""
    video = numbered_video(FRAMES, fps=100, keyframe_interval=5)
    reading = read_all(rtsp_camera(video, behaviour=DoublePackets(10, loop=False)).url, "udp")
    assert len(reading.frames) > 0.7 * FRAMES
    seen(f"every tenth datagram twice: {len(reading.frames)} of {FRAMES} frames, {right(reading)} of them right")
