"""The cameras of a soak and the engine that reads them, with everything a fault can be done to."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import PipelineConfig, check, parse
from pipeline.engines.local import LocalEngine
from tests.cameras import Behaviour, H264Video, RtspCamera, numbered_video
from tests.cameras.proxy import FaultProxy, Line

PATH = "/stream"
BUILDER = "tests.pipeline.numbered_build"  # real cameras and decoding, and a graph that costs next to nothing
# Short, so that a minute has room for a fault and for getting over it.
SOURCE = {"open_timeout_seconds": 2.0, "read_timeout_seconds": 3.0, "max_pixels": 640 * 480}
SUPERVISOR = {"retry_first_seconds": 0.5, "retry_max_seconds": 4.0, "auth_retry_seconds": 4.0}


@dataclass(frozen=True, slots=True)
class Camera:
    """A scripted camera and the line to it."""

    name: str
    server: RtspCamera
    line: FaultProxy
    video: H264Video

    @property
    def url(self) -> str:
        """Where the engine reads it."""
        return self.line.through(self.server.url_of(PATH))

    def behave(self, behaviour: Behaviour | None = None) -> None:
        """From the next connection on, which comes at once because this one is cut; None: as it should."""
        self.server.add(self.video, path=PATH, behaviour=behaviour)
        self.line.reset()

    def set(self, line: Line | None = None) -> None:
        """How bytes travel from now on; None: at once."""
        self.line.set(line or Line())


class Rig:
    """Cameras and the engine."""

    def __init__(self, cameras: list[Camera], engine: LocalEngine) -> None:
        self.cameras, self.engine = cameras, engine

    def pid(self, role: str, source: int = -1) -> int | None:
        """The worker that has a role now, if there is one."""
        for seat in self.engine._roster.seats:
            if seat.role == role and (source < 0 or seat.source == source) and seat.child is not None:
                return seat.child.pid
        return None

    def strike(self, role: str, number: signal.Signals, source: int = -1) -> None:
        """Send a signal to a worker."""
        pid = self.pid(role, source)
        if pid is not None:
            os.kill(pid, number)


@contextmanager
def rig_of(count: int, *, state: Path, rate: int) -> Iterator[Rig]:
    """`count` cameras of 320x240 at `rate` frames a second, and an engine that is being started."""
    video = numbered_video(4 * rate, 320, 240, fps=rate, keyframe_interval=rate)
    with ExitStack() as stack:
        cameras = []
        for number in range(count):
            server = stack.enter_context(RtspCamera(video, path=PATH))
            line = stack.enter_context(FaultProxy(server.port))
            cameras.append(Camera(f"camera-{number}", server, line, video))
        engine = stack.enter_context(LocalEngine(settings(cameras, state), deliver=True, builder=BUILDER))
        engine.start()
        yield Rig(cameras, engine)


def settings(cameras: list[Camera], state: Path) -> PipelineConfig:
    """The configuration of a soak."""
    sources = [{"url": camera.url, "source_id": camera.name, **SOURCE} for camera in cameras]
    supervisor = {**SUPERVISOR, "state_directory": str(state)}
    return check(parse({"sources": sources, "publish": {"bind": "tcp://127.0.0.1:*"}, "supervisor": supervisor}))
