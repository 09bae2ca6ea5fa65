"""Cameras that go away and come back, or are not there yet."""

from __future__ import annotations

import itertools
import random

import pytest

from pipeline.retry import Backoff
from pipeline.states import SourceState
from tests.cameras import numbered_video
from tests.cameras.proxy import FaultProxy, Line
from tests.faults.fixtures import Cameras, Seen, Watch
from tests.faults.watching import Watched

RETRY_SECONDS = 2.0
KEYFRAME_SECONDS = 1.0
PROMISE = "first frame within back-off + 5 s + one keyframe interval, in a new epoch"
ALLOWED_SECONDS = RETRY_SECONDS + 5 + KEYFRAME_SECONDS
TIMEOUTS = {"open_timeout_seconds": 4.0, "read_timeout_seconds": 3.0}


@pytest.mark.fault("camera reboots, 1 s to 10 min", promise=PROMISE)
def test_reboots(rtsp_camera: Cameras, watched: Watch, seen: Seen) -> None:
    """A reset, a power cut, a line that goes dead, each gone for a while; the other camera does not notice."""
    video = numbered_video(200, keyframe_interval=25)
    camera, good = rtsp_camera(video), rtsp_camera(video)
    with FaultProxy(camera.port) as line:
        run = watched(
            {"url": line.through(camera.url), "source_id": "door", **TIMEOUTS},
            {"url": good.url, "source_id": "yard", **TIMEOUTS},
            retry_first_seconds=0.5,
            retry_max_seconds=RETRY_SECONDS,
        )
        run.until(lambda now: now["door"].captured > 10 and now["yard"].captured > 10)
        for name, cut in (("a reset", FaultProxy.reset), ("power cut", FaultProxy.down)):
            epoch = run.status("door").epoch
            cut(line)
            run.until(lambda now: now["door"].state == "FAULTED")
            if name == "power cut":
                run.until(lambda now: now["door"].reconnects >= 4)  # it refuses all the while
                line.up()
            took = first_frame_after(run, "door", epoch)
            seen(f"{name}: first frame {took:.2f} s after it was back (allowed: {ALLOWED_SECONDS:g} s)")
        epoch = run.status("door").epoch
        line.set(Line(silent=True))
        run.until(lambda now: now["door"].reconnects >= 6)  # nothing is refused, and nothing answered
        line.set(Line())
        took = first_frame_after(run, "door", epoch)
        seen(f"dead line: first frame {took:.2f} s after it was alive")
        assert run.status("yard").reconnects == 0
        assert set(run.states["yard"]) <= {"CONNECTING", "STREAMING"}


def first_frame_after(run: Watched, source_id: str, epoch: int) -> float:
    """How long until a source streams in a later epoch."""
    return run.until(
        lambda now: now[source_id].state == "STREAMING" and now[source_id].epoch > epoch, seconds=ALLOWED_SECONDS + 2
    )


@pytest.mark.fault("down at start", promise=PROMISE)
def test_down_at_start(rtsp_camera: Cameras, watched: Watch, seen: Seen) -> None:
    camera = rtsp_camera(numbered_video(200, keyframe_interval=25))
    with FaultProxy(camera.port) as line:
        line.down()
        run = watched(
            {"url": line.through(camera.url), "source_id": "door", **TIMEOUTS},
            retry_first_seconds=0.5,
            retry_max_seconds=RETRY_SECONDS,
        )
        run.until(lambda now: now["door"].reconnects >= 3)
        assert "FAULTED" in run.states["door"]
        line.up()
        took = run.until(lambda now: now["door"].state == "STREAMING", seconds=ALLOWED_SECONDS + 2)
        seen(f"3 tries before it was up; first frame {took:.2f} s after (allowed: {ALLOWED_SECONDS:g} s)")


@pytest.mark.fault("camera reboots, 1 s to 10 min", promise="jittered back-off from 1 s to 60 s, for ever")
def test_the_back_off_of_a_long_outage(seen: Seen) -> None:
    backoff = Backoff(first_seconds=1, most_seconds=60, refused_seconds=60, chance=random.Random(0).random)
    waits = [backoff.delay_seconds(SourceState.FAULTED) for _ in range(10_000)]
    assert 0.9 <= waits[0] <= 1.1
    assert all(a * 1.5 < b for a, b in itertools.pairwise(waits[:6]))
    assert all(54 <= wait <= 60 for wait in waits[6:])
    assert len({round(wait, 6) for wait in waits[6:]}) > 1000
    tries = next(i for i, total in enumerate(itertools.accumulate(waits)) if total > 600)
    seen(f"waits of {', '.join(f'{wait:.1f}' for wait in waits[:7])} s; {tries} tries in 10 min; 10,000 without an end")
