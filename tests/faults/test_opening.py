"""Opening that nothing in the worker can end: the supervisor's deadline holds over all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest

from pipeline.retry import RestartPolicy
from tests.cameras import numbered_video
from tests.faults.fixtures import Cameras, Seen, Watch
from tests.faults.hanging_build import RESOLVES
from tests.reading import read_source

OPEN_SECONDS = 0.1
FIRST_SECONDS = 2.0  # of back-off
ALLOWED_SECONDS = 2 * OPEN_SECONDS + 2
MESSAGE = f"hang: did not open within {ALLOWED_SECONDS:g} s; the host's name may not resolve"


@pytest.fixture
def resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that, once it exists, lets the name of the source `hang` resolve."""
    path = tmp_path / "resolved"
    monkeypatch.setenv(RESOLVES, str(path))
    return path


@pytest.mark.fault(
    "opening hangs where no deadline reaches",
    promise="FAULTED after 2 * open + 2 s, backs off, and streams once the name resolves",
)
def test_the_supervisors_deadline(rtsp_camera: Cameras, watched: Watch, resolved: Path, seen: Seen) -> None:
    camera = rtsp_camera(numbered_video(200))
    run = watched(
        {"url": camera.url, "source_id": "hang", "open_timeout_seconds": OPEN_SECONDS},
        {"url": camera.url, "source_id": "yard"},
        builder="tests.faults.hanging_build",
        retry_first_seconds=FIRST_SECONDS,
    )
    for seat in run.engine._roster.cameras:
        seat.policy = RestartPolicy(limit=1, pause_seconds=3600.0)  # a single crash would be a crash loop
    waits = []
    for tries in (1, 2):
        run.until(lambda now, tries=tries: now["hang"].reconnects == tries)
        now = run.status("hang")
        assert (now.state, now.message) == ("FAULTED", MESSAGE)
        assert now.retry_in_seconds is not None
        waits.append(now.retry_in_seconds)
    assert 0 < waits[0] <= 1.1 * FIRST_SECONDS < waits[1] <= 2.2 * FIRST_SECONDS
    assert not run.engine.complaints  # it is a connection that failed, not a worker
    resolved.touch()
    run.engine.pause_source("hang")
    run.engine.resume_source("hang")  # and it is tried at once
    run.until(lambda now: now["hang"].resulted > 0)
    assert run.states["hang"][:3] == ["CONNECTING", "FAULTED", "CONNECTING"]
    run.until_state(hang="STREAMING", yard="STREAMING")
    assert run.status("yard").reconnects == 0
    assert not run.engine.complaints
    seen(f"FAULTED, tried again in {waits[0]:.1f} s, then {waits[1]:.1f} s; streams once it resolves, the other always")


@pytest.mark.fault("accepts TCP, then silence", promise="PyAV is told both time limits, one for each phase")
def test_both_limits_are_told(rtsp_camera: Cameras, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    really = av.open

    def open_and_note(*args: Any, **settings: Any) -> Any:
        told.append(settings)
        return really(*args, **settings)

    monkeypatch.setattr(av, "open", open_and_note)
    read_source(rtsp_camera().url, max_frames=1, open_timeout_seconds=5.5, read_timeout_seconds=7.5)
    ((open_seconds, read_seconds),) = [settings["timeout"] for settings in told]
    assert 2.75 <= open_seconds <= 5.5  # less half of what the camera took to be called on before
    assert read_seconds == 7.5
    assert told[0]["options"]["timeout"] == "7500000"
    seen(f"av.open(timeout=({open_seconds:.2f}, {read_seconds})), and the socket's {told[0]['options']['timeout']} µs")
