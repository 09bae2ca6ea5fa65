"""What workers tell each other: msgpack, read only under these types.

Pictures and results travel over links, as arrays without field names: there is one message a frame. Orders and reports
travel over the socket between the supervisor and each worker.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Literal

import msgspec

from pipeline.batching import EpochEnd, Notice
from pipeline.config import PipelineConfig, SourceConfig
from pipeline.links.shared_memory import Slot
from pipeline.messages import Clock, Frame, Gap, GapReason, Matrix, PixelFormat, Range, Surface


@lru_cache(maxsize=1024)
def _fraction(numerator: int, denominator: int) -> Fraction:
    """Time bases are few, and made anew for each frame they would cost more than its tracks."""
    return Fraction(numerator, denominator)


class Descriptor(msgspec.Struct, frozen=True, array_like=True, tag="frame"):
    """A frame whose picture lies in a slot."""

    source: int  # its number in this run
    epoch: int
    seq: int
    slot: int
    generation: int
    width: int
    height: int
    pixel_format: PixelFormat
    matrix: Matrix
    value_range: Range
    pts: int | None
    time_base: tuple[int, int]
    capture_time_ns: int
    clock: Clock
    arrival_ns: int
    discontinuity: bool

    @classmethod
    def of(cls, frame: Frame, slot: Slot, *, source: int, epoch: int, seq: int, arrival_ns: int) -> Descriptor:
        """Describe a frame that was written into a slot."""
        return cls(
            source=source,
            epoch=epoch,
            seq=seq,
            slot=slot.index,
            generation=slot.generation,
            width=frame.width,
            height=frame.height,
            pixel_format=frame.surface.format,
            matrix=frame.surface.matrix,
            value_range=frame.surface.range,
            pts=frame.pts,
            time_base=(frame.time_base.numerator, frame.time_base.denominator),
            capture_time_ns=frame.capture_time_ns,
            clock=frame.clock,
            arrival_ns=arrival_ns,
            discontinuity=frame.discontinuity,
        )

    @property
    def taken(self) -> Slot:
        """The slot as it was taken for this frame."""
        return Slot(self.slot, self.generation)

    def frame(self, source_id: str, surface: Surface) -> Frame:
        """The frame, with the picture that was found in its slot."""
        return Frame(
            source_id=source_id,
            epoch=self.epoch,
            seq=self.seq,
            pts=self.pts,
            time_base=_fraction(*self.time_base),
            capture_time_ns=self.capture_time_ns,
            clock=self.clock,
            arrival_monotonic_ns=self.arrival_ns,
            surface=surface,
            discontinuity=self.discontinuity,
        )


class Analysed(msgspec.Struct, frozen=True, array_like=True, tag="result"):
    """A frame's result, whose payload is the next `size` bytes of the message's second part."""

    source: int
    epoch: int
    seq: int
    arrival_ns: int
    picture: Descriptor | None  # where a sink draws: whoever receives this gives the slot back
    size: int = 0


class Lost(msgspec.Struct, frozen=True, array_like=True, tag="lost"):
    """Frames without a result."""

    source: int
    epoch: int
    first_seq: int
    last_seq: int
    reason: GapReason

    @property
    def count(self) -> int:
        """Frames lost."""
        return self.last_seq - self.first_seq + 1


class Ended(msgspec.Struct, frozen=True, array_like=True, tag="end"):
    """An epoch that brings nothing more; see `pipeline.batching.EpochEnd`."""

    source: int
    epoch: int
    captured: int
    reason: GapReason
    final: bool


def notice_of(message: Lost | Ended, source_id: str) -> Notice:
    """The notice a message carries."""
    if isinstance(message, Lost):
        return Gap(source_id, message.epoch, message.first_seq, message.last_seq, message.reason)
    return EpochEnd(source_id, message.epoch, message.captured, message.reason, message.final)


def message_of(notice: Notice, source: int) -> Lost | Ended:
    """A notice as a message."""
    if isinstance(notice, Gap):
        return Lost(source, notice.epoch, notice.first_seq, notice.last_seq, notice.reason)
    return Ended(source, notice.epoch, notice.captured, notice.reason, notice.final)


# From the supervisor to a worker. File descriptors travel beside the message.


class Spec(msgspec.Struct, frozen=True, tag="spec", kw_only=True):
    """Everything a worker is to know. The board's descriptor comes with it."""

    role: str
    cells: int  # index of its cells among the board's workers
    places: int  # on the board, for sources
    visions: int = 1  # vision workers of the run
    config: PipelineConfig  # resolved; the sources come one by one, as `SourceGiven`
    builder: str  # module that makes readers, graphs and sinks
    slots: int  # of each source's ring
    inlet: str = ""  # address it receives at
    outlet: str = ""  # address it sends to
    delivery: str = ""  # publisher: address results also go to
    bind: str | None = None  # publisher: where to publish
    debug: bool = False


class SourceGiven(msgspec.Struct, frozen=True, tag="given"):
    """A source to serve. The memory of its ring and the ring's eventfd come with the message.

    To the camera worker of a source that reads standard input its descriptor comes too.

    `number` is its name in all messages and never given again in a run, so that what is still on its way of a source
    that has gone can never count for the one that took its place on the board.
    """

    number: int
    place: int  # on the board
    source: SourceConfig
    passed: bytes = b""  # name of a folder's last segment that an earlier worker took
    on_cpu: bool = False  # it is not to be decoded by the vision worker


class Withdraw(msgspec.Struct, frozen=True, tag="withdraw"):
    """To the vision worker and the publisher: nothing more will come of a source; let go of it and say so."""

    source: int


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """All has been handed over."""


class Epoch(msgspec.Struct, frozen=True, tag="epoch"):
    """The epoch that was asked for; the reason where there is none."""

    epoch: int
    error: str = ""
    source: int = -1  # as it was asked for


class Renew(msgspec.Struct, frozen=True, tag="renew"):
    """To cameras: send to this address from now on, in a new epoch, all slots taken back."""

    outlet: str


class Reroute(msgspec.Struct, frozen=True, tag="reroute"):
    """To the vision worker: the publisher listens here now."""

    outlet: str


class Hold(msgspec.Struct, frozen=True, tag="hold"):
    """To the camera worker of a recording: read no further for now, or go on."""

    on: bool


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Finish what you have, and exit. Not `final`: the source is paused, and another worker will go on with it."""

    final: bool = True


class SourceNews(msgspec.Struct, frozen=True, tag="news", kw_only=True):
    """From a camera worker by way of the supervisor to the publisher: what the board's integers cannot tell."""

    source: int
    state: str  # a SourceState
    message: str = ""
    codec: str = ""
    error: str = ""  # name of the error's class
    final: bool = False  # nothing more will come


# Of abandoned frames, those that the vision worker will still speak of: none, because it is dead; those it holds; or
# also those on their way to it, because their camera worker left in good order.
Awaited = Literal["nothing", "held", "sent"]


class Abandoned(msgspec.Struct, frozen=True, tag="abandoned"):
    """To the publisher: the worker that would have spoken of a source's newest frames is dead."""

    source: int
    newest: int  # epoch there was by then; those that a replacement begins before this is heard are not meant
    reason: GapReason
    final: bool  # and will not be replaced
    awaited: Awaited


# From a worker to the supervisor.


class EpochWanted(msgspec.Struct, frozen=True, tag="epoch_wanted"):
    """A camera worker begins a session, or the vision worker decodes one's packets."""

    source: int = -1  # whose, for the vision worker


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The worker works."""

    notes: tuple[str, ...] = ()
    address: str = ""  # publisher: where it publishes


class Noted(msgspec.Struct, frozen=True, tag="noted"):
    """A step on the way to being ready."""

    text: str


class Failed(msgspec.Struct, frozen=True, tag="failed", kw_only=True):
    """The worker cannot go on, and exits."""

    error: str  # name of the error's class, empty for one that is not ours
    message: str
    traceback: str = ""


class Withdrawn(msgspec.Struct, frozen=True, tag="withdrawn"):
    """The worker holds nothing of a source any more."""

    source: int


class SegmentTaken(msgspec.Struct, frozen=True, tag="segment"):
    """From a camera worker: of its folder's segments those in order up to this one are not to be read again."""

    name: bytes  # as the system has it, which need be no text


class Complaint(msgspec.Struct, frozen=True, tag="complaint"):
    """Something went wrong that the worker outlives (a sink that takes nothing)."""

    about: str
    error: str
    message: str


class DeferredCounts(msgspec.Struct, frozen=True):
    """How far a sink is with what it took; `pipeline.stage.Progress`."""

    reachable: bool
    delivered: dict[str, int]  # items, by source
    lost: dict[str, int]
    waiting: int  # items
    waiting_bytes: int  # on disk


class SinkCounts(msgspec.Struct, frozen=True, tag="sinks"):
    """How many items each sink took and failed to take, by sink and source."""

    taken: dict[str, dict[str, int]]
    failed: dict[str, dict[str, int]]
    deferred: dict[str, DeferredCounts] = {}  # of sinks that deliver in their own time
    refused: int = 0  # connections to the publishing socket that were not let in


# From the publisher to the program that reads results.


class Delivered(msgspec.Struct, frozen=True, array_like=True, tag="result"):
    """A result, whose payload is the next part of the message."""

    source_id: str
    epoch: int
    seq: int
    gap_before: int


class Declared(msgspec.Struct, frozen=True, array_like=True, tag="gap"):
    """Frames declared lost."""

    source_id: str
    epoch: int
    first_seq: int
    last_seq: int
    reason: GapReason


class Over(msgspec.Struct, frozen=True, array_like=True, tag="over"):
    """An epoch that is over, and how many frames it had: what has not come by now was lost with a publisher."""

    source_id: str
    epoch: int
    captured: int


class Finished(msgspec.Struct, frozen=True, array_like=True, tag="finished"):
    """Every source has ended, and all was delivered."""


Order = Spec | SourceGiven | Begin | Epoch | Renew | Reroute | Hold | Stop | SourceNews | Abandoned | Withdraw
Report = EpochWanted | Ready | Noted | Failed | Complaint | SegmentTaken | SourceNews | SinkCounts | Withdrawn
FromCamera = Descriptor | Lost | Ended
FromVision = Analysed | Lost | Ended
FromPublisher = Delivered | Declared | Over | Finished

encode = msgspec.msgpack.Encoder().encode
decode_order = msgspec.msgpack.Decoder(Order).decode
decode_report = msgspec.msgpack.Decoder(Report).decode
decode_from_camera = msgspec.msgpack.Decoder(list[FromCamera]).decode
decode_from_vision = msgspec.msgpack.Decoder(list[FromVision]).decode
decode_from_publisher = msgspec.msgpack.Decoder(FromPublisher).decode
