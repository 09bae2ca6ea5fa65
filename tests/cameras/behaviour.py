"""What a scripted camera does. `Behaviour` does everything right; a misbehaviour replaces one of its steps.

::

    request ──respond──▶ response        before anything is sent
    video   ──media────▶ steps           access units in sending order, pauses, the end
    packets ──packets──▶ packets         RTP on its way out: lost, swapped, doubled
    report  ──report───▶ reports         RTCP sender reports: late, of another time, of another stream

Two misbehaviours at once are a subclass of both, or one that overrides two steps.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count, islice

from tests.cameras.h264 import AccessUnit, H264Video
from tests.cameras.messages import Request, Response
from tests.cameras.reports import CameraClock, Report
from tests.cameras.rtp import CLOCK_RATE, shifted


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

RTP_HEADER_BYTES = 12


def looped(video: H264Video, *, start: int = 0, loop: bool = True) -> Iterator[Send]:
    """The video's pictures again and again, numbered on from `start`."""
    for round_number in count():
        base = start + round_number * len(video)
        for i, unit in enumerate(video.units):
            yield Send(unit, video, base + i, base + unit.presented)
        if not loop:
            return


class Behaviour:
    """A camera that does everything right. With `loop=False` it hangs up after the last picture.

    With a multicast `group` it also sends to that; without one it refuses to.
    """

    def __init__(self, *, loop: bool = True, clock: CameraClock | None = None, group: str = "") -> None:
        self.loop, self.group = loop, group
        self.clock = clock or CameraClock()
        self.began_ns: list[int] = []  # when picture 0 was taken, by the camera's clock; one a client

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

    def report(self, report: Report) -> Iterable[Report]:
        """What is sent for a sender report, which is right."""
        return (report,)


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

    def __init__(self, rate: float, *, seed: int = 0, loop: bool = True) -> None:
        super().__init__(loop=loop)
        self.rate = rate
        self.seed = seed

    def packets(self, packets: Iterable[bytes]) -> Iterator[bytes]:
        chance = random.Random(self.seed)
        return (packet for packet in packets if chance.random() >= self.rate)


class TellTime(Behaviour):
    """Sender reports as `told` has them: late, of a wrong time, of another stream, none."""

    def __init__(
        self, told: Callable[[Report], Iterable[Report]], *, loop: bool = True, clock: CameraClock | None = None
    ) -> None:
        super().__init__(loop=loop, clock=clock)
        self.told = told

    def report(self, report: Report) -> Iterable[Report]:
        return self.told(report)


class JumpTime(Behaviour):
    """After some pictures RTP time jumps, and what the reports say of it."""

    def __init__(self, seconds: float, *, after_frames: int) -> None:
        super().__init__()
        self.ticks = round(seconds * CLOCK_RATE)
        self.after_frames = after_frames
        self.jumped = False

    def packets(self, packets: Iterable[bytes]) -> Iterator[bytes]:
        sent = 0
        for packet in packets:
            self.jumped = sent >= self.after_frames
            yield shifted(packet, self.ticks) if self.jumped else packet
            sent += packet[1] >> 7  # the marker: a picture's last packet

    def report(self, report: Report) -> Iterable[Report]:
        return (replace(report, timestamp=report.timestamp + self.ticks) if self.jumped else report,)


class CorruptPackets(Behaviour):
    """Some bytes of some packets are others, behind the header; the same ones for the same seed."""

    def __init__(self, rate: float, *, seed: int = 0, loop: bool = True) -> None:
        super().__init__(loop=loop)
        self.rate = rate
        self.seed = seed

    def packets(self, packets: Iterable[bytes]) -> Iterator[bytes]:
        chance = random.Random(self.seed)
        for packet in packets:
            if chance.random() >= self.rate or len(packet) <= RTP_HEADER_BYTES:
                yield packet
                continue
            damaged = bytearray(packet)
            for _ in range(chance.randint(1, 8)):
                damaged[chance.randrange(RTP_HEADER_BYTES, len(damaged))] = chance.randrange(256)
            yield bytes(damaged)


class ReorderPackets(Behaviour):
    """Every few packets come in some other order, the same for the same seed."""

    def __init__(self, places: int, *, seed: int = 0, loop: bool = True) -> None:
        super().__init__(loop=loop)
        self.places = places
        self.seed = seed

    def packets(self, packets: Iterable[bytes]) -> Iterator[bytes]:
        chance = random.Random(self.seed)
        going = iter(packets)
        yield from islice(going, self.places)  # what comes first tells a reader where to start
        while some := list(islice(going, self.places)):
            chance.shuffle(some)
            yield from some


class DoublePackets(Behaviour):
    """Every so many packets one comes twice."""

    def __init__(self, every: int, *, loop: bool = True) -> None:
        super().__init__(loop=loop)
        self.every = every

    def packets(self, packets: Iterable[bytes]) -> Iterator[bytes]:
        for number, packet in enumerate(packets, start=1):
            yield packet
            if number % self.every == 0:
                yield packet
