"""What a scripted camera does. `Behaviour` does everything right; a misbehaviour replaces one of its three steps.

::

    request ──respond──▶ response        before anything is sent
    video   ──media────▶ steps           access units in sending order, pauses, the end
    packets ──packets──▶ packets         RTP on its way out: lost, swapped, doubled

Two misbehaviours at once are a subclass of both, or one that overrides two steps.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count

from tests.cameras.h264 import AccessUnit, H264Video
from tests.cameras.messages import Request, Response


@dataclass(frozen=True, slots=True)
class Send:
    """Send this picture when its time has come."""

    unit: AccessUnit
    video: H264Video
    decode_position: int  # since the start, in sending order
    present_position: int  # since the start, in presentation order


@dataclass(frozen=True, slots=True)
class Stall:
    """Send no more media; reports and the TCP connection go on."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the connection without a word."""


Step = Send | Stall | HangUp


def looped(video: H264Video, *, start: int = 0, loop: bool = True) -> Iterator[Send]:
    """The video's pictures again and again, numbered on from `start`."""
    for round_number in count():
        base = start + round_number * len(video)
        for i, unit in enumerate(video.units):
            yield Send(unit, video, base + i, base + unit.presented)
        if not loop:
            return


class Behaviour:
    """A camera that does everything right. With `loop=False` it hangs up after the last picture."""

    def __init__(self, *, loop: bool = True) -> None:
        self.loop = loop

    def respond(self, request: Request, response: Response) -> Response | None:
        """What is sent for `response`, which is right; None: nothing, ever."""
        return response

    def media(self, video: H264Video) -> Iterator[Step]:
        """What one client is sent."""
        yield from looped(video, loop=self.loop)
        yield HangUp()

    def packets(self, packets: Iterable[bytes]) -> Iterator[bytes]:
        """RTP packets as they go out; called once a client, with all its packets."""
        yield from packets


class RefuseCredentials(Behaviour):
    """401 whatever the client says."""

    def respond(self, request: Request, response: Response) -> Response | None:
        return Response(401, {"WWW-Authenticate": 'Digest realm="everyframe", nonce="0123456789abcdef"'})


class Answer(Behaviour):
    """Some method is answered with some status: 403, 404, 461, 503."""

    def __init__(self, status: int, *, method: str = "DESCRIBE") -> None:
        super().__init__()
        self.status = status
        self.method = method

    def respond(self, request: Request, response: Response) -> Response | None:
        return Response(self.status) if request.method == self.method else response


class SilentAt(Behaviour):
    """Takes the connection and never answers a method; by default not even the first."""

    def __init__(self, method: str = "OPTIONS") -> None:
        super().__init__()
        self.method = method

    def respond(self, request: Request, response: Response) -> Response | None:
        return None if request.method == self.method else response


class StallAfter(Behaviour):
    """Media stops after some pictures; TCP and reports go on."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames

    def media(self, video: H264Video) -> Iterator[Step]:
        for step, _ in zip(looped(video), range(self.frames), strict=False):
            yield step
        yield Stall()


class HangUpAfter(Behaviour):
    """The connection is closed after some pictures."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames

    def media(self, video: H264Video) -> Iterator[Step]:
        for step, _ in zip(looped(video), range(self.frames), strict=False):
            yield step
        yield HangUp()


class NoKeyframes(Behaviour):
    """Pictures that need one that never comes."""

    def media(self, video: H264Video) -> Iterator[Step]:
        return (step for step in looped(video) if not step.unit.is_keyframe)


class ChangeVideo(Behaviour):
    """After some pictures another video goes on in the same session: another size, say."""

    def __init__(self, to: H264Video, *, after_frames: int, loop: bool = True) -> None:
        super().__init__(loop=loop)
        self.to = to
        self.after_frames = after_frames

    def media(self, video: H264Video) -> Iterator[Step]:
        for step, _ in zip(looped(video), range(self.after_frames), strict=False):
            yield step
        yield from looped(self.to, start=self.after_frames, loop=self.loop)
        yield HangUp()


class LosePackets(Behaviour):
    """Every RTP packet is lost with some probability, the same ones for the same seed."""

    def __init__(self, rate: float, *, seed: int = 0) -> None:
        super().__init__()
        self.rate = rate
        self.seed = seed

    def packets(self, packets: Iterable[bytes]) -> Iterator[bytes]:
        chance = random.Random(self.seed)
        return (packet for packet in packets if chance.random() >= self.rate)
