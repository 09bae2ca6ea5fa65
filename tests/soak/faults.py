"""The faults of a soak: each does something to the rig, lets it last, and takes it back."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from tests.cameras import Behaviour, ChangeVideo, NoKeyframes, RefuseCredentials, StallAfter, numbered_video
from tests.cameras.proxy import Line
from tests.soak.rig import Rig

Fault = Callable[[Rig, int], AbstractContextManager[None]]
SLICED = Line(slice_bytes=700, slice_seconds=0.004)
OTHER_SIZE = (256, 192)


@contextmanager
def camera_reboots(rig: Rig, camera: int) -> Iterator[None]:
    """It is not there for a while."""
    rig.cameras[camera].line.down()
    try:
        yield
    finally:
        rig.cameras[camera].line.up()


@contextmanager
def network_slices(rig: Rig, camera: int) -> Iterator[None]:
    """Its bytes come in crumbs."""
    rig.cameras[camera].set(SLICED)
    try:
        yield
    finally:
        rig.cameras[camera].set()


def behaves(behaviour: Callable[[], Behaviour]) -> Fault:
    """It serves something else for a while."""

    @contextmanager
    def fault(rig: Rig, camera: int) -> Iterator[None]:
        rig.cameras[camera].behave(behaviour())
        try:
            yield
        finally:
            rig.cameras[camera].behave()

    return fault


def struck(role: str, number: signal.Signals) -> Fault:
    """A worker gets a signal."""

    @contextmanager
    def fault(rig: Rig, camera: int) -> Iterator[None]:
        rig.strike(role, number, camera if role == "camera" else -1)
        yield

    return fault


FAULTS: dict[str, Fault] = {
    "camera reboots": camera_reboots,
    "camera stalls": behaves(lambda: StallAfter(25)),
    "no keyframes": behaves(NoKeyframes),
    "other size": behaves(lambda: ChangeVideo(numbered_video(25, *OTHER_SIZE), after_frames=25)),
    "credentials refused": behaves(RefuseCredentials),
    "network slices": network_slices,
    "camera worker killed": struck("camera", signal.SIGKILL),
    "camera worker stopped": struck("camera", signal.SIGSTOP),
    "vision worker killed": struck("vision", signal.SIGKILL),
    "vision worker stopped": struck("vision", signal.SIGSTOP),
    "publisher killed": struck("publisher", signal.SIGKILL),
    "publisher stopped": struck("publisher", signal.SIGSTOP),
}


@dataclass(frozen=True, slots=True)
class Event:
    """A fault that is to happen, in seconds since the beginning."""

    name: str
    camera: int
    at_seconds: float
    lasts_seconds: float


def schedule(*, seconds: float, every_seconds: float, cameras: int, seed: int) -> list[Event]:
    """A fault in each `every_seconds`, none in the last; each kind once before any comes again."""
    chance = random.Random(seed)
    names: list[str] = []
    events = []
    start = every_seconds / 2
    while start + 1.5 * every_seconds <= seconds:
        names = names or chance.sample(list(FAULTS), len(FAULTS))
        at = start + chance.uniform(0, every_seconds / 10)
        events.append(Event(names.pop(), chance.randrange(cameras), at, chance.uniform(0.1, 0.25) * every_seconds))
        start += every_seconds
    return events
