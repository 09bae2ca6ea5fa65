"""A camera is let go of within 2 s, whatever it is doing at the time: by ending its process if it must be."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.cameras import NoKeyframes, SilentAt, StallAfter, numbered_video
from tests.faults.fixtures import Cameras, Seen, Watch
from tests.faults.running import allowed
from tests.faults.watching import POLL_SECONDS, Watched, is_gone

STOP_SECONDS = 2.0
FAR = {"open_timeout_seconds": 60.0, "read_timeout_seconds": 60.0}


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses every connection, and is nobody else's."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.mark.fault("stop", promise="every camera is let go of within 2 s, in every state")
def test_stop_in_every_state(rtsp_camera: Cameras, watched: Watch, closed_port: int, seen: Seen) -> None:
    video = numbered_video(100)
    cameras = {
        "connecting": rtsp_camera(behaviour=SilentAt("OPTIONS")),
        "describing": rtsp_camera(behaviour=SilentAt("DESCRIBE")),
        "waiting-for-media": rtsp_camera(behaviour=StallAfter(0)),
        "waiting-for-a-keyframe": rtsp_camera(behaviour=NoKeyframes()),
        "stalled": rtsp_camera(video, behaviour=StallAfter(10)),
        "streaming": rtsp_camera(video),
    }
    urls = {name: camera.url for name, camera in cameras.items()} | {"backing-off": f"rtsp://127.0.0.1:{closed_port}/a"}
    sources = [{"url": url, "source_id": name, **FAR} for name, url in urls.items()]
    run = watched(*sources, retry_first_seconds=3600, retry_max_seconds=3600)
    run.until(
        lambda now: (
            all(camera.statistics.connections for camera in cameras.values())
            and cameras["describing"].statistics.requests["DESCRIBE"] > 0
            and cameras["waiting-for-media"].statistics.playing > 0
            and cameras["waiting-for-a-keyframe"].statistics.playing > 0
            and now["stalled"].state == "STALLED"
            and now["streaming"].state == "STREAMING"
            and now["backing-off"].state == "FAULTED"
        )
    )
    names = dict(zip(run.camera_pids(), urls, strict=True))
    took = seconds_to_end(run, names)
    assert max(took.values()) < allowed(STOP_SECONDS), took
    seen(", ".join(f"{name} {seconds:.2f} s" for name, seconds in took.items()))
    assert all(status.balance == status.in_flight == 0 for status in run.now().values())


@pytest.mark.fault("stop", promise="every camera is let go of within 2 s, in every state")
def test_stop_while_the_decoder_hangs(watched: Watch, seen: Seen) -> None:
    """It does not listen, and is not yet past its deadline: its process is ended."""
    run = watched("door=rtsp://fake?fps=50&hangs_at=5", builder="tests.pipeline.fake_build")
    run.until(lambda now: now["door"].state == "STALLED")
    took = seconds_to_end(run, dict(zip(run.camera_pids(), ["hanging in the decoder"], strict=True)))
    assert max(took.values()) < allowed(STOP_SECONDS)
    seen(", ".join(f"{name} {seconds:.2f} s" for name, seconds in took.items()))


def seconds_to_end(run: Watched, names: dict[int, str]) -> dict[str, float]:
    """Stop the engine; after how many seconds each process was gone."""
    stopping = threading.Thread(target=run.engine.stop)
    started = time.monotonic()
    stopping.start()
    took: dict[str, float] = {}
    while len(took) < len(names):
        for pid, name in names.items():
            if name not in took and is_gone(pid):
                took[name] = time.monotonic() - started
        assert time.monotonic() - started < 30, took
        time.sleep(POLL_SECONDS)
    stopping.join()
    return took
